"""What speaks for a category, in our own words: a reminder beside the cell, no textbook.

Sizes refer to the nucleus of a normal intermediate squamous cell, about 35 um2, as in The Bethesda
System for Reporting Cervical Cytology (3rd edition, 2015). To be confirmed by the study's own
cytopathologist before it is relied on.
"""

REFERENCE_NUCLEUS_UM2 = 35.0
"""Area of an intermediate squamous cell's nucleus, the ruler of the criteria below."""

CRITERIA: dict[str, tuple[str, ...]] = {
    "NILM": (
        "Nucleus about the size of an intermediate cell's, round, with a smooth outline",
        "Fine, even chromatin; little nucleus for much cytoplasm",
        "Reactive: nucleus up to twice as large, but pale and smooth, often with a nucleolus",
    ),
    "ASC-US": (
        "Mature cytoplasm; nucleus about 2.5 to 3 times an intermediate nucleus",
        "Slightly dark, outline slightly uneven, chromatin still even",
        "Suggests LSIL, but not enough of it: for example a halo without a sharp edge",
    ),
    "LSIL": (
        "Mature, large cell; nucleus more than 3 times an intermediate nucleus",
        "Dark, coarser but even chromatin; two nuclei are common; outline uneven",
        "Koilocyte: clear, sharply edged space around the nucleus with a dense rim of cytoplasm",
    ),
    "ASC-H": (
        "Small cell, like an immature metaplastic one; nucleus 1.5 to 2.5 times an intermediate nucleus",
        "Little cytoplasm, some darkness and unevenness",
        "Suggests HSIL, but not enough of it, or too few cells to be sure",
    ),
    "HSIL": (
        "Small, immature cell; the nucleus takes up most of it",
        "Dark, coarse chromatin; outline clearly uneven, with notches or folds",
        "Nucleoli usually absent; single cells, sheets or crowded groups",
    ),
    "SCC": (
        "As HSIL, with uneven, clumped and cleared chromatin or a large nucleolus",
        "Keratinised, bizarre shapes: spindles, tadpoles; orange cytoplasm",
        "Old blood and debris around the cells",
    ),
    "squamous-abnormal": (
        "Squamous and abnormal, but the picture does not let you choose a grade",
        "Not the same as ASC-US: it says nothing about how severe it is",
    ),
    "AGC": (
        "Glandular cells, crowded and overlapping; nuclei 3 to 5 times a normal endocervical one",
        "Some darkness and variation in size; mitoses rare",
        "More than reactive, less than AIS",
    ),
    "AIS": (
        "Elongated, dark nuclei in several layers; strips, rosettes, feathered edges",
        "Coarse, even chromatin; mitoses and dying cells are common",
        "Clean background",
    ),
    "adenocarcinoma": (
        "Large, varying nuclei with uneven chromatin and large nucleoli",
        "Single cells and three-dimensional groups; vacuoles in the cytoplasm",
        "Old blood and debris around the cells",
    ),
    "glandular-abnormal": ("Glandular and abnormal, but the picture does not let you say which kind",),
    "not-a-cell": ("Debris, blood, a fold, stain deposit, or a cell too damaged or out of focus to be one",),
    "cannot-tell": (
        "A cell that this picture does not let anyone decide",
        "Not ASC-US: that is a finding, this is the lack of one",
    ),
}
"""Short statements by category id; a category of a study's own has none."""
