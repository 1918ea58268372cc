"""One pass over all cells: float16 vectors from the disk, logits out, a chunk at a time.

The vectors are never held in another precision as a whole: memory is bounded by the chunk.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.pool import Matrix, Singles, singles
from labeling.probes import LinearProbe
from labeling.products import products_of

CHUNK_ROWS = 12_288
"""Their logits and probabilities stay in a core's second cache, 340 kB each of seven classes."""
_BLOCK_ROWS = 2_048
"""3 MB of 384 float32 numbers: less is read from memory more slowly, more is no longer in the cache when it is used."""
_PRODUCTS = 900_000
"""Of one matrix product: up to a million OpenBLAS multiplies at once, above it copies its operands first and
takes 2.4 times as long."""
FEWEST_FOR_COMPILED = 50_000
"""Rows from which compiling the products, .09 s with the import, pays within ten to twenty refits."""


@dataclass(frozen=True, slots=True)
class ScanWeights:
    """A probe's weights as the pass uses them, float32: with standardisation and temperature, less the last class's.

    Probabilities depend on differences of logits alone, so the last class costs no products.
    """

    weights: Singles
    """Shape (d, K - 1)."""
    intercepts: Singles
    """Shape (K - 1, 1)."""

    @classmethod
    def of(cls, probe: LinearProbe) -> "ScanWeights":
        """Fold and round."""
        weights, intercepts = (values / probe.temperature for values in probe.raw_weights())
        differences = np.ascontiguousarray((weights[:-1] - weights[-1]).T, np.float32)
        return cls(differences, (intercepts[:-1] - intercepts[-1]).astype(np.float32)[:, None])


def scan(vectors: Matrix, weights: ScanWeights, chunk_rows: int = CHUNK_ROWS) -> Iterator[tuple[slice, Singles]]:
    """Yield slices of the rows with their logits less that of the last class, shape (K, rows of the slice).

    Logits are those after the temperature.

    Args:
        vectors: Shape (n, d), float16; what lies on the disk is read once, in order.
        weights: From `ScanWeights.of`.
        chunk_rows: Rows at a time.
    """
    others = weights.weights.shape[1]
    fast = products_of(weights.weights) if len(vectors) >= FEWEST_FOR_COMPILED else None
    room = np.empty((0, 0), np.float32)
    for start in range(0, len(vectors), chunk_rows):
        part = vectors[start : start + chunk_rows]
        logits = np.zeros((others + 1, len(part)), np.float32)
        if fast is not None and part.dtype == np.float16:
            fast.multiply(part, logits[:-1])
        else:
            room = room if len(room) else np.empty((_BLOCK_ROWS, part.shape[1]), np.float32)
            _multiply(part, weights.weights, room, logits[:-1])
        logits[:-1] += weights.intercepts
        yield slice(start, start + len(part)), logits


def _multiply(part: NDArray[np.floating], weights: Singles, room: Singles, out: Singles) -> None:
    """Do what `products.Products` does in numpy, some times slower; out has shape (K - 1, rows)."""
    products = np.empty((len(part), weights.shape[1]), np.float32)
    step = max(16, _PRODUCTS // weights.size)
    for low in range(0, len(part), _BLOCK_ROWS):
        rows = singles(part[low : low + _BLOCK_ROWS], room)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            np.matmul(some, weights, out=products[low + start : low + start + len(some)])
    out[:] = products.T


def softmax_columns(logits: Singles) -> Singles:
    """Return probabilities of logits in columns, shape (K, n): the layout of `scan`, float32."""
    shifted = np.exp(logits - logits.max(axis=0))
    shifted /= shifted.sum(axis=0)
    return shifted


def margin_columns(probabilities: Singles) -> Singles:
    """Return one minus the gap of the two likeliest classes of each column: (K, n) to (n,)."""
    first, second = probabilities[0].copy(), np.zeros_like(probabilities[0])
    for row in probabilities[1:]:
        np.maximum(second, np.minimum(first, row), out=second)
        np.maximum(first, row, out=first)
    scores: Singles = 1.0 - (first - second)
    return scores
