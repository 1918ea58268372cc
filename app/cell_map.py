"""Embeddings in two dimensions: computed beside the pages, read by them.

maps/<fingerprint>.npy   (rows of the embedding store, 2) uint16, 0 to 65535 over the middle 99 % of each axis
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from datasets.embeddings import EmbeddingStore
from datasets.files import write_atomically

Points = NDArray[np.uint16]

_FIT_ROWS = 20_000
_CHUNK_ROWS = 8192
_FAR_PERCENT = 0.5
"""Points beyond these percentiles lie on the edge, so that a few odd cells do not shrink the rest."""


def map_path(home: Path, fingerprint: str) -> Path:
    """Return where an encoder's map lies."""
    return home / "maps" / f"{fingerprint}.npy"


def update_map(home: Path, store: EmbeddingStore) -> bool:
    """Compute the map of a store unless it is there; return whether it was computed."""
    if len(store) < 3 or read_map(home, store) is not None:
        return False
    buffer = io.BytesIO()
    np.save(buffer, project(store), allow_pickle=False)
    write_atomically(map_path(home, store.fingerprint), buffer.getvalue())
    return True


def read_map(home: Path, store: EmbeddingStore) -> Points | None:
    """Return the map of a store, None where there is none of all its cells."""
    path = map_path(home, store.fingerprint)
    if not path.exists():
        return None
    points: Points = np.load(path, mmap_mode="r", allow_pickle=False)
    return points if points.shape == (len(store), 2) else None


def project(store: EmbeddingStore) -> Points:
    """Return the first two principal components of a store's vectors, shape (rows, 2), uint16.

    The components are fitted on at most 20,000 rows drawn at random.
    """
    vectors = store.stack()
    generator = np.random.default_rng(0)
    rows = np.sort(generator.permutation(len(vectors))[:_FIT_ROWS])
    pca = PCA(n_components=2, random_state=0).fit(vectors[rows].astype(np.float32))
    parts = [
        pca.transform(vectors[start : start + _CHUNK_ROWS].astype(np.float32))
        for start in range(0, len(vectors), _CHUNK_ROWS)
    ]
    places = np.concatenate(parts)
    low, high = np.percentile(places, [_FAR_PERCENT, 100 - _FAR_PERCENT], axis=0)
    return np.clip((places - low) / np.maximum(high - low, 1e-9) * 65535, 0, 65535).astype(np.uint16)
