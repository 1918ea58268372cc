"""How much doctors agree, beyond chance: pure functions of arrays, always with pairs and an interval.

Higher agreement is not proof of truth: suggestions shown beforehand raise it and hide errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.intp]
Floats = NDArray[np.float64]

MISSING = -1
"""Code of a cell that a doctor has not decided."""
_BOOTSTRAPS, _FEWEST_BOOTSTRAPS, _PAIR_BOOTSTRAPS = 1000, 200, 15_000

LITERATURE = {
    "inter": (0.29, 0.58, "cytology, Bethesda categories, unaided readers; weighted 0.39 to 0.81"),
    "intra": (0.88, 0.95, "1,619 slides, same reader twice; kappa and weighted kappa"),
}
"""Published ranges, so that a figure of 0.45 is not read as failure: low, high, of what."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """One figure with what it rests on."""

    value: float | None
    """None where it is not defined: no pair, or all answers alike."""
    low: float | None
    """Lower end of the 95 % interval, bootstrapped over cells; None where nothing is defined."""
    high: float | None
    pairs: int
    """Pairs of answers to the same cell."""
    cells: int
    """Cells with at least two answers."""


def cohen_kappa(first: Codes, second: Codes, num_classes: int, weights: Floats | None = None) -> float | None:
    """Return Cohen's kappa of two doctors (1960), weighted (1968) where penalties are given.

    Args:
        first: Class of each cell by one doctor, shape (n,).
        second: By the other, shape (n,).
        num_classes: Number of classes K.
        weights: Penalty of each confusion, shape (K, K), zero on the diagonal; None: all alike.

    Returns:
        None where it is not defined: no cell, or chance alone leaves no room to disagree.
    """
    if not len(first):
        return None
    table = np.zeros((num_classes, num_classes))
    np.add.at(table, (first, second), 1 / len(first))
    penalty = 1.0 - np.eye(num_classes) if weights is None else weights
    expected = (penalty * np.outer(table.sum(axis=1), table.sum(axis=0))).sum()
    return None if expected <= 1e-12 else float(1.0 - (penalty * table).sum() / expected)


def fleiss_kappa(counts: Floats) -> float | None:
    """Return Fleiss' kappa (1971) of answers counted by cell and class.

    Args:
        counts: Answers of each class, shape (cells, classes); every cell has the same number, at least 2.

    Raises:
        ValueError: The cells have different numbers of answers; use Krippendorff's alpha.
    """
    readers = counts.sum(axis=1)
    if not len(counts) or readers.max() < 2:
        return None
    if (readers != readers[0]).any():
        raise ValueError("cells with different numbers of answers: use Krippendorff's alpha.")
    number = readers[0]
    agreed = ((counts**2).sum(axis=1) - number) / (number * (number - 1))
    by_chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return None if by_chance >= 1 - 1e-12 else float((agreed.mean() - by_chance) / (1 - by_chance))


def krippendorff_alpha(ratings: Codes, num_classes: int, distance: Floats | None = None) -> float | None:
    """Return Krippendorff's alpha (2004, chapter 11): any number of doctors, cells may lack answers.

    Args:
        ratings: Class of each cell by each doctor, shape (doctors, cells); `MISSING` where not decided.
        num_classes: Number of classes K.
        distance: Between classes, shape (K, K), zero on the diagonal; None: nominal.
    """
    counts = answer_counts(ratings, num_classes)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return None
    delta = 1.0 - np.eye(num_classes) if distance is None else distance
    readers = counts.sum(axis=1, keepdims=True)
    coincidence = (counts.T @ (counts / (readers - 1))) - np.diag((counts / (readers - 1)).sum(axis=0))
    totals = coincidence.sum(axis=0)
    number = totals.sum()
    expected = (delta * (np.outer(totals, totals) - np.diag(totals))).sum() / (number - 1)
    return None if expected <= 1e-12 else float(1.0 - (delta * coincidence).sum() / expected)


def bethesda_weights(num_classes: int) -> Floats:
    """Return quadratic penalties between ordered classes, 0 to 1, shape (K, K).

    For classes in the order of severity: NILM, ASC-US, LSIL, ASC-H, HSIL, SCC.
    """
    steps = np.subtract.outer(np.arange(num_classes), np.arange(num_classes)) / max(1, num_classes - 1)
    penalties: Floats = steps.astype(np.float64) ** 2
    return penalties


def answer_counts(ratings: Codes, num_classes: int) -> Floats:
    """Return the answers of each cell and class, shape (cells, classes), of ratings (doctors, cells)."""
    doctors, cells = np.nonzero(ratings != MISSING)
    counts = np.zeros((ratings.shape[1], num_classes))
    np.add.at(counts, (cells, ratings[doctors, cells]), 1.0)
    return counts


def pairwise_kappa(ratings: Codes, num_classes: int, weights: Floats | None = None) -> float | None:
    """Return the mean of Cohen's kappa over pairs of doctors, each by its number of shared cells.

    Args:
        ratings: Classes by doctor and cell, shape (doctors, cells); `MISSING` where there is none.
        num_classes: Classes are 0 up to this.
        weights: Of disagreements, shape (classes, classes); None: all weigh the same.
    """
    total, values = 0, 0.0
    for a in range(len(ratings)):
        for b in range(a + 1, len(ratings)):
            both = (ratings[a] != MISSING) & (ratings[b] != MISSING)
            kappa = cohen_kappa(ratings[a][both], ratings[b][both], num_classes, weights)
            if kappa is not None:
                total, values = total + int(both.sum()), values + kappa * int(both.sum())
    return values / total if total else None


def category_kappa(ratings: Codes, category: int) -> float | None:
    """Return the pairwise kappa of one class against all others; ratings as in `pairwise_kappa`."""
    return pairwise_kappa(np.where(ratings == MISSING, MISSING, (ratings == category).astype(np.intp)), 2)


def threshold_kappa(ratings: Codes, category: int) -> float | None:
    """Return the pairwise kappa at one cut of ordered classes, this one and above; as in `pairwise_kappa`."""
    return pairwise_kappa(np.where(ratings == MISSING, MISSING, (ratings >= category).astype(np.intp)), 2)


def equally_read(ratings: Codes) -> Codes:
    """Return the ratings, as in `pairwise_kappa`, of cells with the most usual number of answers: for Fleiss' kappa."""
    readers = (ratings != MISSING).sum(axis=0)
    numbers = np.bincount(readers[readers >= 2], minlength=3)
    return ratings[:, readers == int(numbers.argmax())] if len(readers) and numbers.any() else ratings[:, :0]


Figure = Callable[[Codes], float | None]


def with_interval(ratings: Codes, figure: Figure, *, seed: int = 0, bootstraps: int | None = None) -> Agreement:
    """Compute a figure with a 95 % percentile interval over cells.

    Args:
        ratings: Shape (doctors, cells), `MISSING` where not decided.
        figure: A function of such ratings.
        seed: Source of chance of the bootstrap.
        bootstraps: Resamples; None: 1000, fewer where many pairs of doctors make each one slow.
    """
    readers = (ratings != MISSING).sum(axis=0)
    shared = np.flatnonzero(readers >= 2)
    pairs = int((readers[shared] * (readers[shared] - 1) // 2).sum())
    value = figure(ratings[:, shared]) if len(shared) else None
    if value is None:
        return Agreement(value=None, low=None, high=None, pairs=pairs, cells=len(shared))
    generator = np.random.default_rng(seed)
    usual = max(_FEWEST_BOOTSTRAPS, min(_BOOTSTRAPS, 2 * _PAIR_BOOTSTRAPS // (len(ratings) * (len(ratings) - 1))))
    draws = usual if bootstraps is None else bootstraps
    drawn = (figure(ratings[:, generator.choice(shared, len(shared))]) for _ in range(draws))
    values = [found for found in drawn if found is not None]
    low, high = np.quantile(values, [0.025, 0.975])
    return Agreement(value=value, low=float(low), high=float(high), pairs=pairs, cells=len(shared))


def ratings_table(
    answers: Sequence[tuple[str, str, str]], classes: Sequence[str]
) -> tuple[Codes, list[str], list[str]]:
    """Lay out answers (cell, doctor, class) as ratings, shape (doctors, cells).

    Answers that are not among the classes are left out: "cannot tell" is no category.

    Returns:
        Ratings, doctors and cells, both in the order of their names.
    """
    known = {name: place for place, name in enumerate(classes)}
    usable = [(cell, doctor, known[name]) for cell, doctor, name in answers if name in known]
    doctors, cells = sorted({d for _, d, _ in usable}), sorted({c for c, _, _ in usable})
    row, column = {d: i for i, d in enumerate(doctors)}, {c: i for i, c in enumerate(cells)}
    ratings = np.full((len(doctors), len(cells)), MISSING, np.intp)
    for cell, doctor, code in usable:
        ratings[row[doctor], column[cell]] = code
    return ratings, doctors, cells
