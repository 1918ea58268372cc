"""What stands behind each setting in `cytojepa.toml`."""

COMMENTS = {
    "label_set": "bethesda, herlev, or a name of your own with [[study.categories]]",
    "reads": "how many doctors decide each cell",
    "suggestions": "after = the doctor answers first; shown = before the answer; hidden = never",
    "lease_seconds": "how long a cell stays with the doctor who got it",
    "crop_um": "side of a cell's picture in micrometres",
    "crop_px": "side of a cell's picture in pixels",
    "foil_percent": "known cells of another category among 100 cells of a gallery page",
    "share_uncertain": "parts of the queue that the probe is unsure of",
    "share_novel": "parts unlike everything labelled so far",
    "share_random": "parts chosen by chance",
    "share_shared": "parts that a second doctor decides as well",
    "share_gold": "parts with a known verdict",
    "share_repeat": "parts that the same doctor has decided long ago",
    "share_test": "parts of the blind test set, where one was chosen (cytojepa testset)",
    "abnormal_percent": "share of probably abnormal cells in the queue, 0 to 100; 0 = as the rules find them",
    "exemplar_weight": "what an exemplar counts in the probe, beside 1 of a doctor's answer; 0 = only shown",
    "inbox": "folders of the server from which the page Jobs takes files in",
    "acquisition": "uncertain cells by rarity-margin, rarest-margin, margin, entropy, least-confident or a package's",
    "database": "sqlite, or postgresql://account@host/name; its password never stands here",
}
"""In the order of the file."""
