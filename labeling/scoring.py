"""All cells scored by a fitted probe in one pass: what doctors may see, and what is worth asking."""

from dataclasses import dataclass
from pathlib import Path

import numkong
import numpy as np
from numpy.typing import NDArray

from datasets.files import sync_folder
from labeling.acquisition import DEFAULT_RULE, rarity, scores_of
from labeling.fitting import Fit
from labeling.pool import Matrix
from labeling.scan import ScanWeights, margin_columns, scan, softmax_columns


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolScores:
    """What the pass found, by row of the pool."""

    probabilities: NDArray[np.float16]
    """What a doctor may be shown, shape (n, K); a memory map where a path was given."""
    scores: NDArray[np.float32]
    """Acquisition score, shape (n,)."""


def score_pool(vectors: Matrix, fit: Fit, *, rule: str = DEFAULT_RULE, path: Path | None = None) -> PoolScores:
    """Score every row, a chunk at a time.

    The worklist uses the balanced probabilities: shifted to the pool's shares, the rare classes that
    it looks for would be drowned by the common one.

    Args:
        vectors: Shape (n, d), float16.
        fit: The fitted probe.
        rule: A name of `acquisition.RULES`.
        path: Where to keep the probabilities, as an array file; None: in memory.

    Raises:
        LabelingError: The rule gives something else than one finite score, 0 or more, for each cell.
    """
    shape = (len(vectors), len(fit.probe.classes_))
    temporary = None if path is None else path.with_suffix(".partial.npy")
    if temporary is None:
        shown = np.empty(shape, np.float16)
    else:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        shown = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
    scores = np.empty(len(vectors), np.float32)
    wanted = rarity(fit.counts).astype(np.float32)
    shift = None if fit.prior is None else np.log(fit.prior * len(fit.prior)).astype(np.float32)[:, None]
    for rows, logits in scan(vectors, ScanWeights.of(fit.probe)):
        logits /= np.float32(fit.probe.temperature)
        balanced = softmax_columns(logits)
        # The default in the layout of the pass; the others are as fast as numpy makes them.
        scores[rows] = (
            margin_columns(balanced) * (wanted @ balanced)
            if rule == DEFAULT_RULE else scores_of(rule, balanced.T, fit.counts)
        )  # fmt: skip
        told = balanced if shift is None else softmax_columns(logits + shift)
        numkong.astype(np.ascontiguousarray(told.T), "float16", out=shown[rows])
    if path is not None and temporary is not None:
        assert isinstance(shown, np.memmap)
        shown.flush()
        temporary.replace(path)
        sync_folder(path.parent)
    return PoolScores(probabilities=shown, scores=scores)
