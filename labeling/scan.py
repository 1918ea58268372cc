"""One pass over all cells: float16 vectors from the disk, logits out, a chunk at a time.

The vectors are never held in another precision as a whole: memory is bounded by the chunk.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numkong
import numpy as np
from numpy.typing import NDArray

from labeling.pool import Matrix
from labeling.probes import LinearProbe

CHUNK_ROWS = 16_384
"""12 MB of 384 float16 numbers: larger chunks are no faster."""

Halves = NDArray[np.float16]
Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScanWeights:
    """A probe's weights as the pass uses them: standardisation folded in, rounded to float16.

    Rounding moves a logit by up to about a thousandth of its size; `gain` keeps the weights in the
    range in which float16 is precise.
    """

    weights: Halves
    """Shape (K, d)."""
    gain: float
    intercepts: Singles
    """Shape (K, 1)."""

    @classmethod
    def of(cls, probe: LinearProbe) -> "ScanWeights":
        """Fold and round."""
        weights, intercepts = probe.raw_weights()
        gain = float(np.abs(weights).max()) or 1.0
        return cls((weights / gain).astype(np.float16), gain, intercepts.astype(np.float32)[:, None])


def scan(vectors: Matrix, weights: ScanWeights, chunk_rows: int = CHUNK_ROWS) -> Iterator[tuple[slice, Singles]]:
    """Yield slices of the rows with their logits, shape (K, rows of the slice).

    Args:
        vectors: Shape (n, d), float16; what lies on the disk is read once, in order.
        weights: From `ScanWeights.of`.
        chunk_rows: Rows at a time.
    """
    for start in range(0, len(vectors), chunk_rows):
        part = np.ascontiguousarray(vectors[start : start + chunk_rows], dtype=np.float16)
        products = np.asarray(numkong.cdist(part, weights.weights, "dot", out_dtype="float32"))
        logits = np.ascontiguousarray(products.T)
        logits *= np.float32(weights.gain)
        logits += weights.intercepts
        yield slice(start, start + len(part)), logits


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
