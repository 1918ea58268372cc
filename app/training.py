"""Pretraining and embedding of one workspace: which tiles, which run folder, which cells."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from app.runs import run_folders
from app.services import Services
from datasets import catalog
from datasets.crops import Picture, read_own_png
from datasets.embeddings import EmbeddingStore, set_current
from datasets.manifest import TileOptions, build_tile_pack
from datasets.tile_files import read_sources
from jepa.config import PRESETS, RunConfig
from jepa.embed import Encoder, embed_cells
from jepa.errors import CheckpointError
from jepa.watch import TileLabels
from labeling.answers import current_labels
from labeling.records import IMPORTED

_MARGIN = 8 / 7
"""Tiles are this much larger than what the encoder sees, so that crops can shift."""

OnProgress = Callable[[int, int], None]


def preset_for_machine() -> RunConfig:
    """Return `small` where there is a CUDA device, else `demo`."""
    return PRESETS["small" if torch.cuda.is_available() else "demo"]


def new_run_folder(services: Services) -> Path:
    """Return the folder of the next run, `runs/run-NNNN`."""
    folders = run_folders(services)
    number = int(folders[-1].name.removeprefix("run-")) + 1 if folders else 1
    return services.home / "runs" / f"run-{number:04d}"


def latest_run(services: Services) -> tuple[Path, RunConfig]:
    """Return the newest run and its options, for `--resume`.

    Raises:
        CheckpointError: There is no run.
    """
    folders = run_folders(services)
    if not folders:
        raise CheckpointError("no run to resume in this workspace. Run `cytojepa pretrain` without --resume.")
    return folders[-1], RunConfig.from_dict(json.loads((folders[-1] / "config.json").read_text()))


def tiles_for(services: Services, config: RunConfig, on_progress: OnProgress) -> Path:
    """Build, or find, the tile pack that a run needs."""
    side_px = round(config.image_px * _MARGIN)
    return build_tile_pack(services.database, services.home, TileOptions(mpp=config.mpp, side_px=side_px), on_progress)


def labels_for(services: Services, pack: Path) -> TileLabels | None:
    """Collect the tiles of a pack whose cell has a label, for the watch of a run.

    A doctor's newest label counts before one that came with the data; answers that are no category
    of the study are left out.

    Returns:
        Codes and groups count the study's categories and the slides; None without such a tile.
    """
    classes = {name: code for code, name in enumerate(services.label_set.class_ids)}
    with services.database.read() as session:
        found = current_labels(session, include_imported=True)
    found.sort(key=lambda label: (label.annotator != IMPORTED, label.label_id))
    known = {label.cell_id: classes[label.category] for label in found if label.category in classes}
    sources = read_sources(pack, json.loads((pack / "manifest.json").read_text()))
    rows = [(tile, known[row["cell"]], row["slide"]) for tile, row in enumerate(sources) if row.get("cell") in known]
    if not rows:
        return None
    tiles, codes, slides = zip(*rows, strict=True)
    groups = np.unique(np.array(slides), return_inverse=True)[1]
    return TileLabels(tiles=np.array(tiles), codes=np.array(codes), groups=groups)


def embed_all(services: Services, encoder: Encoder, *, batch_size: int, on_progress: OnProgress) -> int:
    """Compute the vectors that are missing, and make this encoder the one that suggestions use.

    Returns:
        How many cells got a vector.
    """
    store = EmbeddingStore(services.embeddings_folder, encoder.fingerprint)
    cells = catalog.cells(services.database)
    scales = {cell.id: cell.crop_mpp for cell in cells}
    count = embed_cells(
        encoder, store, [cell.id for cell in cells], lambda cell_id: read_crop(services, cell_id),
        scales.__getitem__, batch_size=batch_size, on_progress=on_progress,
    )  # fmt: skip
    set_current(services.embeddings_folder, encoder.fingerprint)
    return count


def read_crop(services: Services, cell_id: str) -> Picture:
    """Read a cell's stored crop: RGB, shape (side, side, 3), uint8."""
    return read_own_png(catalog.crop_path(services.home, cell_id))
