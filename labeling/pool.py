"""A pool of vectors: rows that may lie on the disk, and how they are spread. Light to import: no scikit-learn."""

import ctypes
from dataclasses import dataclass
from typing import Any, Protocol

import numkong
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt."""


class Matrix(Protocol):
    """Rows of numbers that may lie on the disk: an array, a memory map, or shards one below the other."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> NDArray[np.floating]:
        """Read rows, by a slice or by an array of places."""


@dataclass(frozen=True, slots=True)
class PoolScale:
    """Mean and standard deviation of an encoder's vectors, shape (d,) each."""

    mean: Floats
    std: Floats

    @classmethod
    def of(cls, vectors: Matrix, *, most_rows: int = 20_000) -> "PoolScale":
        """Measure a pool, shape (n, d), on at most so many rows, evenly spaced: the same for the same pool."""
        step = max(1, -(-len(vectors) // most_rows))
        sample = np.asarray(vectors[::step], np.float64)
        return cls(sample.mean(axis=0), sample.std(axis=0))


def singles(rows: NDArray[np.floating], out: Singles | None = None) -> Singles:
    """Return rows as float32; float16 exactly, and eight times as fast as numpy does it.

    Args:
        rows: Shape (n, d), any float.
        out: Room for those of float16, shape (at least n, d), contiguous; None: a new array.
    """
    if rows.dtype != np.float16:
        return np.asarray(rows, np.float32)
    halves = np.ascontiguousarray(rows)
    target = np.empty(halves.shape, np.float32) if out is None else out[: len(halves)]
    numkong.astype(halves, "float32", out=target)
    return target


def spaced_rows(number: int, most: int) -> NDArray[np.intp]:
    """Return the places of at most so many of a number of rows, evenly spaced, shape (rows,); always the same ones."""
    return np.unique(np.linspace(0, number - 1, most).astype(np.intp))


def keep_freed_memory() -> None:
    """Let this process keep up to 64 MB that it has freed, for its next refit.

    A refit frees and asks for the same megabytes again and again; from the system they cost 2 us for each 4 kB,
    a tenth of its time. Only glibc can be told so; others stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 64 << 20)
        mallopt(_MMAP_THRESHOLD, 16 << 20)
