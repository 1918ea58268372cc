"""Cells to vectors: only those that lack one, in shards, so that an interrupted run goes on."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datasets.embeddings import EmbeddingStore
from datasets.files import sha256_of_json

Picture = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""

SHARD_CELLS = 2048


class Encoder(Protocol):
    """What makes vectors of cells, learned or not."""

    fingerprint: str
    """Which weights and which preprocessing: vectors of different ones never mix."""
    dim: int
    image_px: int
    """Side of a prepared picture."""

    def prepare(self, crop: Picture, crop_mpp: float | None) -> Picture:
        """Bring a square crop to shape (image_px, image_px, 3)."""

    def embed(self, pictures: Picture) -> NDArray[np.float32]:
        """Turn prepared pictures, shape (B, image_px, image_px, 3), into vectors, shape (B, dim)."""


class FusedEncoder:
    """Several encoders side by side: their vectors, one behind the other.

    Args:
        encoders: In the order of their numbers in the vector.
    """

    image_px = 0

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self._encoders = tuple(encoders)
        self.dim = sum(encoder.dim for encoder in self._encoders)
        self.fingerprint = sha256_of_json([encoder.fingerprint for encoder in self._encoders])[:16]

    def prepare(self, crop: Picture, crop_mpp: float | None) -> Picture:
        """Prepare a crop for each encoder; the pictures lie behind each other, shape (bytes,)."""
        return np.concatenate([encoder.prepare(crop, crop_mpp).ravel() for encoder in self._encoders])

    def embed(self, pictures: Picture) -> NDArray[np.float32]:
        """Embed prepared crops, shape (B, all pictures' bytes), as (B, dim)."""
        parts, start = [], 0
        for encoder in self._encoders:
            shape = (encoder.image_px, encoder.image_px, 3)
            end = start + math.prod(shape)
            parts.append(encoder.embed(pictures[:, start:end].reshape(-1, *shape)))
            start = end
        return np.concatenate(parts, axis=1)


def embed_cells(
    encoder: Encoder,
    store: EmbeddingStore,
    cell_ids: Sequence[str],
    load_picture: Callable[[str], Picture],
    crop_mpp_of: Callable[[str], float | None],
    *,
    batch_size: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Embed the cells that the store lacks.

    Args:
        encoder: Its fingerprint is the store's.
        store: Where the vectors go, a shard at a time.
        cell_ids: All cells.
        load_picture: Crop of a cell, square RGB uint8.
        crop_mpp_of: Scale of a cell's crop in um/px, None where unknown.
        batch_size: Pictures at once.
        on_progress: Called with (cells done, cells to do).

    Returns:
        How many cells got a vector.
    """
    missing = store.missing(cell_ids)
    for start in range(0, len(missing), SHARD_CELLS):
        shard = missing[start : start + SHARD_CELLS]
        vectors = []
        for first in range(0, len(shard), batch_size):
            batch = shard[first : first + batch_size]
            pictures = [encoder.prepare(load_picture(i), crop_mpp_of(i)) for i in batch]
            vectors.append(encoder.embed(np.stack(pictures)))
            on_progress(start + first + len(batch), len(missing))
        store.append(shard, np.concatenate(vectors))
    return len(missing)
