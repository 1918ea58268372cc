"""Cells that resemble each other, among millions: more like this one, near-duplicates, and those like no other.

Arrays in, rows out.

Likeness is the cosine of standardised vectors, the same that spreads the worklist. A small pool is
compared as a whole; a large one through an index of faiss (inverted lists, 8 bits a number; Jegou et
al. 2011, Product Quantization for Nearest Neighbor Search, section 4) that lies on the disk and is
mapped, not loaded. What the index finds is ordered by the exact cosine of the stored vectors.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from datasets.files import sync_folder
from datasets.quality import robust_deviations
from labeling.acquisition import unit_vectors
from labeling.pool import Matrix, PoolScale

EXACT_ROWS = 50_000
"""Rows up to which a pool is compared as a whole: 50 ms for 384 numbers."""
PROBES = 32
"""Lists that a search looks into."""
_CHUNK_ROWS = 16_384
_TRAINING_ROWS_PER_LIST = 64
_CANDIDATES = 3
"""Rows asked of the index for each one wanted: 8 bits misplace close ones."""
_REBUILD_GROWTH = 4
"""A pool that has grown by this factor gets new lists."""
_LIST_ROWS = 1000
"""Mean size of the groups within which near-duplicates and strangers are looked for."""
_COMPANY = 3
"""A vector is strange when even its third nearest is far: a strange cell that is there twice stays strange."""
_LEAST_SPREAD = 0.01

Rows = NDArray[np.intp]
Cosines = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the first rows of a pool, mapped from its file."""

    path: Path
    scale: PoolScale

    @property
    def rows(self) -> int:
        """How many rows it knows."""
        return int(self._open().ntotal)

    def search(self, vectors: Matrix, row: int, count: int) -> tuple[Rows, Cosines]:
        """Return the rows most like one row, itself first, with their cosines.

        Rows that are newer than the index are compared one by one.

        Args:
            vectors: Of the whole pool, shape (n, d).
            row: The one to resemble.
            count: How many at most.
        """
        index = self._open()
        unit = unit_vectors(vectors[np.array([row])], self.scale)
        _, found = index.search(unit, min(_CANDIDATES * count, index.ntotal))
        rows = np.unique(np.append(found[0][found[0] >= 0], row)).astype(np.intp)
        cosines = _cosines(vectors[rows], unit, self.scale)
        if len(vectors) > index.ntotal:
            newer = _all_cosines(vectors, unit, self.scale, first=index.ntotal)
            rows = np.append(rows, np.arange(index.ntotal, len(vectors)))
            cosines = np.append(cosines, newer)
            rows, places = np.unique(rows, return_index=True)
            cosines = cosines[places]
        return _best(rows, cosines, count)

    def _open(self) -> Any:
        index: Any = faiss.read_index(str(self.path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        index.nprobe = PROBES
        return index


def update_index(folder: Path, vectors: Matrix) -> bool:
    """Make or extend the index of a pool that has grown; return whether anything was to do.

    Args:
        folder: Of this pool alone.
        vectors: Shape (n, d); rows are only ever added at the end.
    """
    if len(vectors) <= EXACT_ROWS:
        return False
    known = open_index(folder)
    trained = 0 if known is None else int(known.path.stem)
    if known is None or len(vectors) >= _REBUILD_GROWTH * trained:
        scale, path = PoolScale.of(vectors), folder / f"{len(vectors)}.faiss"
        index = _train(vectors, scale)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path.with_suffix(".npy"), np.stack([scale.mean, scale.std]), allow_pickle=False)
    elif known.rows >= len(vectors):
        return False
    else:
        scale, path = known.scale, known.path
        index = faiss.read_index(str(path))
    for start in range(index.ntotal, len(vectors), _CHUNK_ROWS):
        index.add(unit_vectors(vectors[start : start + _CHUNK_ROWS], scale))
    temporary = path.with_suffix(".partial")
    faiss.write_index(index, str(temporary))
    temporary.replace(path)
    sync_folder(folder)
    for old in folder.iterdir():
        if old.stem != path.stem:
            old.unlink()
    return True


def open_index(folder: Path) -> Index | None:
    """Return the newest index of a pool, None where there is none."""
    paths = sorted(folder.glob("*.faiss"), key=lambda path: int(path.stem))
    if not paths:
        return None
    mean, std = np.load(paths[-1].with_suffix(".npy"), allow_pickle=False)
    return Index(paths[-1], PoolScale(mean, std))


def more_like(folder: Path, vectors: Matrix, row: int, count: int) -> Rows:
    """Return the rows most like one row, itself first: by the index where the pool is large.

    Args:
        folder: Where `update_index` keeps the pool's index.
        vectors: Shape (n, d).
        row: The one to resemble.
        count: How many at most; as many as there are rows: compared as a whole.
    """
    index = open_index(folder) if len(vectors) > EXACT_ROWS and count < len(vectors) else None
    if index is not None:
        return index.search(vectors, row, count)[0]
    scale = PoolScale.of(vectors)
    unit = unit_vectors(vectors[np.array([row])], scale)
    return _best(np.arange(len(vectors)), _all_cosines(vectors, unit, scale), count)[0]


def near_duplicates(vectors: Matrix, *, least: float = 0.98) -> list[tuple[int, int, float]]:
    """Find pairs of vectors that point the same way: near-duplicates that were moved or recoloured.

    A large pool is compared within groups of about a thousand rows around centres of faiss's k-means,
    each row with the groups of its two nearest centres: only a pair that shares neither is missed.

    Args:
        vectors: Shape (n, d).
        least: Smallest cosine of a pair.

    Returns:
        (first, second, cosine), by row, the most alike first; of each row only its nearest in a group.
    """
    scale, pairs = PoolScale.of(vectors), dict[tuple[int, int], float]()
    for members in _groups(vectors, scale):
        units = unit_vectors(vectors[members], scale)
        for start in range(0, len(units), 2048):
            cosines = units[start : start + 2048] @ units.T
            places = np.arange(len(cosines))
            cosines[places, places + start] = -1
            nearest = cosines.argmax(axis=1)
            for place in np.flatnonzero(cosines[places, nearest] >= least):
                first, second = sorted((int(members[place + start]), int(members[nearest[place]])))
                pairs[first, second] = float(cosines[place, nearest[place]])
    return sorted(((a, b, c) for (a, b), c in pairs.items()), key=lambda pair: (-pair[2], pair[:2]))


def strangers(vectors: Matrix, *, deviations: float = 5.0) -> list[tuple[int, float]]:
    """Find vectors that resemble no other: dirt, folds, damaged pictures, rare findings.

    Of each vector the cosine to its third nearest is taken, and set against the median of all. A large pool is
    compared within groups, as in `near_duplicates`.

    Args:
        vectors: Shape (n, d); fewer than a dozen have no rest to be unlike.
        deviations: How many robust standard deviations below the median is strange.

    Returns:
        (row, deviations), the strangest first.
    """
    if len(vectors) < 4 * _COMPANY:
        return []
    scale, company = PoolScale.of(vectors), np.full(len(vectors), -1.0)
    for members in _groups(vectors, scale):
        if len(members) <= _COMPANY:
            continue
        units = unit_vectors(vectors[members], scale)
        for start in range(0, len(units), 2048):
            cosines = units[start : start + 2048] @ units.T
            rows = members[start : start + len(cosines)]
            # The vector itself is the nearest of all.
            third = np.partition(cosines, -_COMPANY - 1, axis=1)[:, -_COMPANY - 1]
            company[rows] = np.maximum(company[rows], third)
    far = -robust_deviations(company, least_spread=_LEAST_SPREAD)
    return [(int(row), float(far[row])) for row in np.argsort(-far, kind="stable") if far[row] > deviations]


def _groups(vectors: Matrix, scale: PoolScale) -> list[Rows]:
    """Return rows that are to be compared with each other: all, or those round the same centre."""
    if len(vectors) <= EXACT_ROWS // 2:
        return [np.arange(len(vectors))]
    centres = _centres(vectors, scale, max(2, len(vectors) // _LIST_ROWS))
    near = np.empty((len(vectors), 2), np.int32)
    for start in range(0, len(vectors), _CHUNK_ROWS):
        part = unit_vectors(vectors[start : start + _CHUNK_ROWS], scale)
        near[start : start + len(part)] = centres.search(part, 2)[1]
    order = np.argsort(near.ravel(), kind="stable")
    ends = np.flatnonzero(np.diff(near.ravel()[order])) + 1
    return [np.sort(part) // 2 for part in np.split(order, ends)]


def _centres(vectors: Matrix, scale: PoolScale, count: int) -> Any:
    sample = _sample(vectors, scale, count)
    means = faiss.Kmeans(sample.shape[1], count, niter=8, seed=0, spherical=True, min_points_per_centroid=1)
    means.train(sample)
    return means.index


def _train(vectors: Matrix, scale: PoolScale) -> Any:
    lists = 1 << round(np.log2(np.sqrt(len(vectors))))
    index: Any = faiss.index_factory(vectors.shape[1], f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.seed, index.cp.min_points_per_centroid = 8, 0, 1
    index.train(_sample(vectors, scale, lists))
    return index


def _sample(vectors: Matrix, scale: PoolScale, lists: int) -> NDArray[np.float32]:
    count = min(len(vectors), _TRAINING_ROWS_PER_LIST * lists)
    rows = np.sort(np.random.default_rng(0).choice(len(vectors), count, replace=False))
    return unit_vectors(vectors[rows], scale)


def _cosines(part: NDArray[np.floating], unit: NDArray[np.float32], scale: PoolScale) -> Cosines:
    found: Cosines = unit_vectors(part, scale) @ unit[0]
    return found


def _all_cosines(vectors: Matrix, unit: NDArray[np.float32], scale: PoolScale, first: int = 0) -> Cosines:
    starts = range(first, len(vectors), _CHUNK_ROWS)
    parts = [_cosines(vectors[start : start + _CHUNK_ROWS], unit, scale) for start in starts]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _best(rows: Rows, cosines: Cosines, count: int) -> tuple[Rows, Cosines]:
    order = np.argsort(-cosines, kind="stable")[:count]
    return rows[order], cosines[order]
