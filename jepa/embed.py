"""Cells to vectors: only those that lack one, in shards, so that an interrupted run goes on."""

from collections.abc import Callable, Sequence

import numpy as np

from datasets.embeddings import EmbeddingStore
from jepa.encoder import FrozenEncoder, Picture

SHARD_CELLS = 2048


def embed_cells(
    encoder: FrozenEncoder,
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
