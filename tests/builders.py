"""Small studies for tests, made of drawn slides by the product's own steps."""

from pathlib import Path

import cv2
import numpy as np

from app.intake import take_in
from app.services import Services
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from datasets.files import write_json
from datasets.public import plan


def drawn_study(home: Path, scratch: Path, num_slides: int) -> Services:
    """Draw slides into a folder and ingest them."""
    services = Services.open(home)
    write_drawn_slides(scratch, seed=7, num_slides=num_slides)
    take_in(services, plan(scratch), mpp=DRAWN_MPP)
    return services


def noise_pack(folder: Path, *, tiles: int, side_px: int, mpp: float = 0.5, seed: int = 0) -> Path:
    """Write a tile pack of smooth coloured noise: enough for an engine, quicker than drawn slides."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 240, (tiles, 8, 8, 3)).astype(np.uint8)
    pictures = np.stack([cv2.resize(tile, (side_px, side_px), interpolation=cv2.INTER_CUBIC) for tile in coarse])
    folder.mkdir(parents=True)
    np.save(folder / "tiles.npy", pictures)
    write_json(folder / "manifest.json", {"mpp": mpp, "side_px": side_px, "tiles": tiles, "hash": f"noise-{seed}"})
    return folder
