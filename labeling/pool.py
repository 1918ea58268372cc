"""A pool of vectors: rows that may lie on the disk, and how they are spread. Light to import: numpy alone."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
