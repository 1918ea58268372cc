"""Vectors of cells, one folder per encoder: float16 shards that numpy alone can open.

    <root>/<fingerprint>/shard-00000.npy    (rows, dim) float16
    <root>/<fingerprint>/shard-00000.json   {"cells": [...], "dim": D, "sha256": "..."}

The JSON file is written after the array and commits the shard: a killed run leaves at most one
array without its JSON, which the next run overwrites. Append-only. Knows no encoder and no database.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.errors import StoreError
from datasets.files import write_atomically, write_json

Vectors = NDArray[np.float16]


class Stack:
    """Shards as one tall matrix, without joining them in memory: only what is asked for is read.

    Args:
        shards: Memory maps of shape (rows, dim) each.
    """

    def __init__(self, shards: Sequence[Vectors]) -> None:
        self._shards = tuple(shards)
        self._ends = np.cumsum([len(shard) for shard in self._shards])
        self.shape = (int(self._ends[-1]) if self._shards else 0, self._shards[0].shape[1] if self._shards else 0)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Vectors:
        """Read rows: a slice, or places in any order; shape (rows, dim), float16."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                return self[np.arange(start, stop, step)]
            first, last = np.searchsorted(self._ends, [start, stop - 1], side="right")
            if stop <= start:
                return np.empty((0, self.shape[1]), np.float16)
            parts = []
            for number in range(first, last + 1):
                offset = int(self._ends[number]) - len(self._shards[number])
                parts.append(self._shards[number][max(start - offset, 0) : stop - offset])
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        places = np.asarray(rows, np.intp)
        found = np.empty((len(places), self.shape[1]), np.float16)
        of = np.searchsorted(self._ends, places, side="right")
        for number in np.unique(of):
            chosen = of == number
            offset = int(self._ends[number]) - len(self._shards[number])
            found[chosen] = self._shards[number][places[chosen] - offset]
        return found


class EmbeddingStore:
    """The vectors that one encoder has made, in the order in which they were made.

    Args:
        root: The workspace's `embeddings` folder.
        fingerprint: Which encoder, with its preprocessing, made the vectors.

    Raises:
        StoreError: A shard is damaged.
    """

    def __init__(self, root: Path, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.folder = root / fingerprint
        self.cell_ids: list[str] = []
        self._shards: list[Vectors] = []
        self._row_of: dict[str, int] = {}
        for index_path in sorted(self.folder.glob("shard-*.json")):
            self._open_shard(index_path)

    def __len__(self) -> int:
        return len(self.cell_ids)

    @property
    def dim(self) -> int | None:
        """Length of a vector, or None while the store is empty."""
        return int(self._shards[0].shape[1]) if self._shards else None

    def vectors(self) -> Vectors:
        """Return all vectors, shape (rows, dim), float16; row i belongs to `cell_ids[i]`.

        One shard is returned as a memory map; several are joined in memory.
        """
        if not self._shards:
            return np.empty((0, 0), np.float16)
        return self._shards[0] if len(self._shards) == 1 else np.concatenate(self._shards)

    def row_of(self) -> dict[str, int]:
        """Return the row of each cell; made once and kept, as it takes longer than a refit for a million cells."""
        if len(self._row_of) != len(self.cell_ids):
            self._row_of = {cell_id: row for row, cell_id in enumerate(self.cell_ids)}
        return self._row_of

    def stack(self) -> Stack:
        """Return all vectors as one matrix that stays on the disk; row i belongs to `cell_ids[i]`."""
        return Stack(self._shards)

    def missing(self, cell_ids: Iterable[str]) -> list[str]:
        """Return the cells that have no vector yet, in the given order."""
        known = set(self.cell_ids)
        return [cell_id for cell_id in cell_ids if cell_id not in known]

    def append(self, cell_ids: Sequence[str], vectors: NDArray[np.floating]) -> None:
        """Add one shard; on return it is on disk.

        Args:
            cell_ids: Ids without a vector so far.
            vectors: Shape (len(cell_ids), dim), finite.

        Raises:
            StoreError: Wrong shape, a number that is not finite, or an id that is already there.
        """
        with np.errstate(over="ignore"):
            half = np.ascontiguousarray(vectors, dtype=np.float16)
        if half.ndim != 2 or len(half) != len(cell_ids) or self.dim not in (None, half.shape[1]):
            raise StoreError(f"{len(cell_ids)} cells, vectors {half.shape}, dim {self.dim}: they do not fit.")
        if not np.isfinite(half).all():
            raise StoreError("a vector has a value that is not finite in float16; the encoder is broken.")
        if len(self.missing(cell_ids)) != len(set(cell_ids)) or len(set(cell_ids)) != len(cell_ids):
            raise StoreError("a cell has a vector already; pass only missing() cells.")
        buffer = io.BytesIO()
        np.save(buffer, half, allow_pickle=False)
        index_path = self.folder / f"shard-{len(self._shards):05d}.json"
        write_atomically(index_path.with_suffix(".npy"), buffer.getvalue())
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        write_json(index_path, {"cells": list(cell_ids), "dim": half.shape[1], "sha256": digest})
        self._open_shard(index_path)

    def _open_shard(self, index_path: Path) -> None:
        index = json.loads(index_path.read_text())
        shard: Vectors = np.load(index_path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        if shard.shape != (len(index["cells"]), index["dim"]) or shard.dtype != np.float16:
            raise StoreError(
                f"{index_path.name}: {shard.shape} does not match its index; delete the shard and embed again."
            )
        self._shards.append(shard)
        self.cell_ids.extend(index["cells"])


CURRENT_FILE = "current.json"


def set_current(root: Path, fingerprint: str) -> None:
    """Make this encoder's store the one that suggestions come from."""
    write_json(root / CURRENT_FILE, {"fingerprint": fingerprint})


def current_store(root: Path) -> EmbeddingStore | None:
    """Return the store that suggestions come from, or None before the first `embed`."""
    path = root / CURRENT_FILE
    return EmbeddingStore(root, json.loads(path.read_text())["fingerprint"]) if path.exists() else None


def store_state(root: Path) -> tuple[str, int] | None:
    """Return the current store's fingerprint and number of shards without opening it, None if there is none."""
    path = root / CURRENT_FILE
    if not path.exists():
        return None
    fingerprint = json.loads(path.read_text())["fingerprint"]
    return fingerprint, sum(1 for _ in (root / fingerprint).glob("shard-*.json"))
