"""How good guesses are on cells that had no part in them: pure functions of arrays, intervals over slides."""

from dataclasses import dataclass

import numpy as np

from labeling.calibration import ConformalSets, expected_calibration_error
from labeling.pool import Floats
from labeling.probes import Words

_BOOTSTRAPS = 500
_SURE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Figures of one probe on test cells."""

    cells: int
    slides: int
    balanced_accuracy: float
    low: float
    """Lower end of the 95 % interval over slides."""
    high: float
    recalls: dict[str, float]
    """Of each class among the test cells."""
    counts: dict[str, int]
    calibration_error: float
    """Of the cells whose class the probe knows; nan where there is none."""
    coverage: float | None
    """How often the set of classes holds the right one; None where the probe gives no sets."""
    set_size: float | None
    """Mean number of classes in a set."""


def judge(
    probabilities: Floats, classes: Words, truth: Words, slides: Words, sets: ConformalSets | None = None
) -> Judgement:
    """Judge guesses against answers that the probe has never seen.

    Args:
        probabilities: Shape (n, K), n at least 1.
        classes: Names of the columns, shape (K,).
        truth: Answer of each row, shape (n,); one that is no column can never be right.
        slides: Slide of each row, shape (n,): the interval is over draws of them.
        sets: The probe's sets of classes.
    """
    guesses = classes[probabilities.argmax(axis=1)]
    names, counts = np.unique(truth, return_counts=True)
    low, high = interval_over_slides(truth, guesses, slides)
    place = {name: column for column, name in enumerate(classes.tolist())}
    codes = np.array([place.get(name, -1) for name in truth.tolist()], np.intp)
    known = codes >= 0
    error = expected_calibration_error(probabilities[known], codes[known]) if known.any() else float("nan")
    coverage = size = None
    if sets is not None:
        inside = sets.contains(probabilities)
        coverage = float((inside[np.arange(len(codes)), np.maximum(codes, 0)] & known).mean())
        size = float(inside.sum(axis=1).mean())
    return Judgement(
        cells=len(truth), slides=len(np.unique(slides)), balanced_accuracy=recall_mean(truth, guesses), low=low,
        high=high, recalls={str(n): float((guesses[truth == n] == n).mean()) for n in names},
        counts=dict(zip(names.tolist(), counts.tolist(), strict=True)),
        calibration_error=error, coverage=coverage, set_size=size,
    )  # fmt: skip


def recall_mean(truth: Words, guesses: Words) -> float:
    """Return balanced accuracy, the mean of the recalls of the classes in `truth`; both of shape (n,)."""
    hits = truth == guesses
    return float(np.mean([hits[truth == name].mean() for name in np.unique(truth)]))


def interval_over_slides(truth: Words, guesses: Words, slides: Words) -> tuple[float, float]:
    """Return the 95 % percentile interval of balanced accuracy over draws of whole slides; all of shape (n,)."""
    generator = np.random.default_rng(0)
    rows_of = [np.flatnonzero(slides == slide) for slide in np.unique(slides)]
    values = []
    for _ in range(_BOOTSTRAPS):
        rows = np.concatenate([rows_of[i] for i in generator.integers(len(rows_of), size=len(rows_of))])
        values.append(recall_mean(truth[rows], guesses[rows]))
    low, high = np.quantile(values, [(1 - _SURE) / 2, (1 + _SURE) / 2])
    return float(low), float(high)
