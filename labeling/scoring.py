"""All cells scored by a fitted probe in one pass: what doctors may see, and what is worth asking."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numkong
import numpy as np
from numpy.typing import NDArray

from datasets.files import sync_folder
from labeling.acquisition import DEFAULT_RULE, rarity, scores_of
from labeling.fitting import Fit
from labeling.pool import Matrix, Singles
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
    scores = np.empty(len(vectors), np.float32)
    if path is None:
        shown = np.empty(shape, np.float16)
        for rows, part in _parts(vectors, fit, rule, scores):
            shown[rows] = part
        return PoolScores(probabilities=shown, scores=scores)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial.npy")
    # Written, not mapped: the pages of a mapping cost more than the bytes.
    with temporary.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for _, part in _parts(vectors, fit, rule, scores):
            file.write(part.astype("<f2", copy=False).data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
    kept = np.load(path, mmap_mode="r", allow_pickle=False)
    return PoolScores(probabilities=np.asarray(kept), scores=scores)  # a plain array on the map: rows are read faster


def _parts(
    vectors: Matrix, fit: Fit, rule: str, scores: Singles
) -> Iterator[tuple[slice, NDArray[np.float16]]]:  # fmt: skip
    """Yield the probabilities to be shown, shape (rows, K), a chunk at a time, after writing the chunk's scores."""
    wanted = rarity(fit.counts).astype(np.float32)
    prior = None if fit.prior is None else (fit.prior * len(fit.prior)).astype(np.float32)[:, None]
    for rows, logits in scan(vectors, ScanWeights.of(fit.probe)):
        told = softmax_columns(logits)
        # The default in the layout of the pass; the others are as fast as numpy makes them.
        scores[rows] = (
            margin_columns(told) * (wanted @ told)
            if rule == DEFAULT_RULE else scores_of(rule, told.T, fit.counts)
        )  # fmt: skip
        if prior is not None:
            told *= prior
            told /= told.sum(axis=0)
        halves, part = np.empty(told.shape, np.float16), np.empty(told.shape[::-1], np.float16)
        numkong.astype(told, "float16", out=halves)
        for place, column in enumerate(halves):  # half the time of turning the whole at once
            part[:, place] = column
        yield rows, part
