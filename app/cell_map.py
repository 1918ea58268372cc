"""Embeddings in two dimensions: computed beside the pages, read by them.

maps/<fingerprint>.npy        principal components; drawn whenever vectors change
maps/<fingerprint>-umap.npy   neighbourhoods (UMAP), drawn by the job `map`: minutes, and worth them
each (rows of the embedding store, 2) uint16, 0 to 65535 over the middle 99 % of each axis
"""

import io
from pathlib import Path
from typing import Literal

import faiss
import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from datasets.embeddings import EmbeddingStore
from datasets.files import write_atomically

Points = NDArray[np.uint16]

Layout = Literal["pca", "umap"]

_FIT_ROWS = 20_000
_UMAP_COMPONENTS = 50
_CHUNK_ROWS = 8192
_NEAREST = 5
"""Fitted rows amid which another row lies on the map of neighbourhoods."""
_FAR_PERCENT = 0.5
"""Points beyond these percentiles lie on the edge, so that a few odd cells do not shrink the rest."""


def map_path(home: Path, fingerprint: str, layout: Layout = "pca") -> Path:
    """Return where an encoder's map lies."""
    return home / "maps" / f"{fingerprint}{'' if layout == 'pca' else f'-{layout}'}.npy"


def update_map(home: Path, store: EmbeddingStore) -> bool:
    """Compute the map of a store unless it is there; return whether it was computed."""
    if len(store) < 3 or read_map(home, store) is not None:
        return False
    _write(map_path(home, store.fingerprint), project(store))
    return True


def draw_neighbourhoods(home: Path, store: EmbeddingStore) -> None:
    """Compute the map by UMAP (McInnes et al. 2018); takes about a minute for 20,000 cells."""
    _write(map_path(home, store.fingerprint, "umap"), _neighbourhoods(store))


def _write(path: Path, points: Points) -> None:
    buffer = io.BytesIO()
    np.save(buffer, points, allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def read_map(home: Path, store: EmbeddingStore, layout: Layout = "pca") -> Points | None:
    """Return the map of a store, shape (n, 2), None where there is none of all its cells."""
    path = map_path(home, store.fingerprint, layout)
    if not path.exists():
        return None
    points: Points = np.load(path, mmap_mode="r", allow_pickle=False)
    return points if points.shape == (len(store), 2) else None


def project(store: EmbeddingStore) -> Points:
    """Return the first two principal components of a store's vectors, shape (rows, 2), uint16.

    The components are fitted on at most 20,000 rows drawn at random.
    """
    return _spread(_components(store, 2))


def _components(store: EmbeddingStore, number: int) -> NDArray[np.float32]:
    """Return the first principal components, shape (rows, number), fitted on at most `_FIT_ROWS` rows."""
    vectors = store.stack()
    rows = np.sort(np.random.default_rng(0).permutation(len(vectors))[:_FIT_ROWS])
    pca = PCA(n_components=number, random_state=0).fit(vectors[rows].astype(np.float32))
    parts = [
        pca.transform(vectors[start : start + _CHUNK_ROWS].astype(np.float32))
        for start in range(0, len(vectors), _CHUNK_ROWS)
    ]
    return np.concatenate(parts).astype(np.float32)


def _neighbourhoods(store: EmbeddingStore) -> Points:
    """Return the UMAP of a store (McInnes et al. 2018), fitted on at most `_FIT_ROWS` rows, the same every time.

    Differs from the paper for the other rows: each lies amid its nearest fitted rows, where UMAP only begins.
    That takes a twentieth of the time, and .40 instead of .42 of fifteen neighbours stay among the nearest fifty.
    """
    from umap import UMAP  # imports numba, which takes seconds; only the job needs it

    vectors = _components(store, min(_UMAP_COMPONENTS, store.dim or 1, len(store)))
    rows = np.sort(np.random.default_rng(0).permutation(len(vectors))[:_FIT_ROWS])
    reducer = UMAP(n_components=2, n_neighbors=min(15, len(rows) - 1), random_state=0, n_jobs=1).fit(vectors[rows])
    places = np.empty((len(vectors), 2), np.float32)
    places[rows] = reducer.embedding_
    others = np.setdiff1d(np.arange(len(vectors)), rows)
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors[rows])
    for start in range(0, len(others), _CHUNK_ROWS):
        part = others[start : start + _CHUNK_ROWS]
        far, near = index.search(vectors[part], _NEAREST)
        trust = 1 / np.maximum(far, 1e-9)
        places[part] = (places[rows[near]] * (trust / trust.sum(axis=1, keepdims=True))[:, :, None]).sum(axis=1)
    return _spread(places)


def _spread(places: NDArray[np.float32]) -> Points:
    low, high = np.percentile(places, [_FAR_PERCENT, 100 - _FAR_PERCENT], axis=0)
    return np.clip((places - low) / np.maximum(high - low, 1e-9) * 65535, 0, 65535).astype(np.uint16)
