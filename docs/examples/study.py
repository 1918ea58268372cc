# %% [markdown]
# # A study in Python
# Drawn cells, so that it runs anywhere: open, look, probe, evaluate, write labels, export; then the vectors with
# numpy alone and the encoder in plain timm. Run it whole (`python docs/examples/study.py [FOLDER]`) or cell by cell.

# %%
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from app import demo
from app.encoders import weights_path
from app.study import open_study
from jepa.checkpoint import export_encoder
from labeling.probes import LinearProbe

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

# %% [markdown]
# A study to look at: four drawn slides, a few steps of pretraining, a vector for each cell. `cytojepa demo --fast`
# makes the same; with a study of your own, leave this out.

# %%
services = demo.prepare(folder / "study", is_fast=True)
encoder_file = folder / "encoder.safetensors"
export_encoder(weights_path(services, "default"), encoder_file)  # cytojepa export encoder encoder.safetensors
services.database.close()

# %% [markdown]
# ## Open and look
# Without an annotator the study can only be read.

# %%
study = open_study(folder / "study")
cells = study.cells()
references = study.labels(references=True)  # drawn cells bring their truth along
print(f"{len(cells)} cells on {cells['slide'].nunique()} slides")
print(references["category"].value_counts().to_string())
picture = study.crop(cells.index[0])
print(f"a crop: {picture.shape}, {cells['crop_mpp'].iloc[0]} um per pixel")

# %% [markdown]
# ## Probe and evaluate
# A linear probe on frozen vectors, tested on slides that it has not seen: cells of one slide resemble each other, and
# a probe that had seen some of them would look better than it is.

# %%
vectors = study.vectors(list(references["cell"]))
guessed = cross_val_predict(
    LinearProbe(),
    vectors,
    references["category"].to_numpy(),
    groups=references["slide"].to_numpy(),
    cv=LeaveOneGroupOut(),
)
score = balanced_accuracy_score(references["category"], guessed)
chance = 1 / references["category"].nunique()
print(f"balanced accuracy on slides left out {score:.2f}, chance {chance:.2f} (an encoder of a few steps)")
study.close()

# %% [markdown]
# ## Write labels
# As an annotator of its own name. Every label is an event of the study's chain; running this again adds none.

# %%
answers = pd.DataFrame({"cell": references["cell"], "category": guessed, "confidence": "unsure"}).head(20)
with open_study(folder / "study", annotator="probe-example") as study:
    receipts = study.write_labels(answers, batch="example")
    again = study.write_labels(answers, batch="example")
    study.take_back([receipts["key"].iloc[-1]], batch="example")
    own = study.labels(annotators=["probe-example"])
    print(f"{receipts['accepted'].sum()} stored, {len(own)} on record, {own['is_current'].sum()} count")

    # ## Export: the same study gives the same bytes
    report = study.export("parquet", folder / "labels.parquet")
    print(f"{report.rows} rows, sha256 {report.sha256[:12]}...")
    fingerprint = study.embeddings_table().schema.metadata[b"encoder_fingerprint"].decode()

exported = pd.read_parquet(folder / "labels.parquet")
print(exported.groupby(["kind", "annotator"], dropna=False).size().to_string())

# %% [markdown]
# ## The vectors with numpy alone

# %%
shard = folder / "study" / "embeddings" / fingerprint / "shard-00000.npy"
plain = np.load(shard)
of_cell = dict(zip(json.loads(shard.with_suffix(".json").read_text())["cells"], plain, strict=True))
print(f"{len(of_cell)} vectors of {plain.shape[1]} numbers, {plain.dtype}")

# %% [markdown]
# ## The encoder in plain timm
# Three lines; the numbers of the run travel in the file.

# %%
with safe_open(encoder_file, "pt") as file:
    run = json.loads(file.metadata()["cytojepa_config"])
sizes = {
    "img_size": run["image_px"],
    "patch_size": run["patch_px"],
    "embed_dim": run["dim"],
    "depth": run["depth"],
    "num_heads": run["heads"],
}

from timm.models import load_checkpoint
from timm.models.vision_transformer import VisionTransformer

net = VisionTransformer(**sizes, class_token=False, global_pool="avg", fc_norm=False, num_classes=0)
load_checkpoint(net, str(encoder_file), strict=True)

with torch.inference_mode():
    pixels = torch.rand(1, 3, run["image_px"], run["image_px"])
    print(f"one picture: {tuple(net.eval()(pixels).shape)}")
