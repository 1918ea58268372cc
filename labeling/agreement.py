"""How much doctors agree, beyond chance: pure functions of arrays. Intervals are those of `intervals`.

Higher agreement is not proof of truth: suggestions shown beforehand raise it and hide errors.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Codes = NDArray[np.intp]
Floats = NDArray[np.float64]

MISSING = -1
"""Code of a cell that a doctor has not decided."""
_NO_ROOM = 1e-12
"""Disagreement by chance below which a figure is not defined."""

LITERATURE = {
    "inter": (0.29, 0.58, "cytology, Bethesda categories, unaided readers; weighted 0.39 to 0.81"),
    "intra": (0.88, 0.95, "1,619 slides, same reader twice; kappa and weighted kappa"),
}
"""Published ranges, so that a figure of 0.45 is not read as failure: low, high, of what."""


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


def category_penalty(num_classes: int, category: int) -> Floats:
    """Return penalties that ask of one class against all others, shape (K, K)."""
    is_it = np.arange(num_classes) == category
    return (is_it[:, None] != is_it).astype(np.float64)


def cut_penalty(num_classes: int, category: int) -> Floats:
    """Return penalties that ask at one cut of ordered classes, this one and above, shape (K, K)."""
    is_above = np.arange(num_classes) >= category
    return (is_above[:, None] != is_above).astype(np.float64)


def equally_read(ratings: Codes) -> Codes:
    """Return the ratings (doctors, cells) of cells with the most usual number of answers: for `Fleiss`."""
    readers = (ratings != MISSING).sum(axis=0)
    numbers = np.bincount(readers[readers >= 2], minlength=3)
    return ratings[:, readers == int(numbers.argmax())] if len(readers) and numbers.any() else ratings[:, :0]


class Figure(Protocol):
    """Figures that are made of sums over cells, so that a thousand draws of the cells are one product."""

    def sums(self, ratings: Codes) -> csr_array:
        """Return what each cell adds, shape (cells, terms), of ratings (doctors, cells), `MISSING` if not decided."""
        ...

    def of(self, totals: Floats) -> Floats:
        """Return the figures, shape (draws, figures), of totals (draws, terms); NaN where they are not defined."""
        ...


@dataclass(frozen=True, slots=True)
class Kappas:
    """Cohen's kappa over all pairs of doctors (1960; weighted 1968), once for each of the penalties.

    Disagreements that are seen and those that chance would bring are added up over the pairs before one is divided
    by the other (pooled kappa, De Vries et al. 2008, Using Pooled Kappa to Summarize Interrater Agreement across Many
    Items; they weigh items alike, here each pair counts by its cells): the mean of many pairs' own kappas, of a few
    cells each, is too low.
    """

    num_classes: int
    penalties: Floats
    """Of each confusion, zero on the diagonal, shape (figures, K, K)."""

    def sums(self, ratings: Codes) -> csr_array:
        """Return confusions of pairs and classes of each side: ratings (doctors, cells) to (cells, terms)."""
        k, rows, terms, number = self.num_classes, [], [], self.num_classes**2
        for one, other in itertools.combinations(ratings, 2):
            both = np.flatnonzero((one != MISSING) & (other != MISSING))
            if len(both):
                rows += [both] * 3
                terms += [one[both] * k + other[both], number + one[both], number + k + other[both]]
                number += 2 * k
        return _counted(rows, terms, (ratings.shape[1], number))

    def of(self, totals: Floats) -> Floats:
        """Return a kappa for each of the penalties: totals (draws, terms) to (draws, figures)."""
        k = self.num_classes
        seen, sides = totals[:, : k * k], totals[:, k * k :].reshape(len(totals), -1, 2, k)
        cells = np.maximum(sides[:, :, 0].sum(axis=2, keepdims=True), 1)
        chance = ((sides[:, :, 0] / cells).transpose(0, 2, 1) @ sides[:, :, 1]).reshape(seen.shape)
        penalties = self.penalties.reshape(-1, k * k).T
        return _one_minus(seen @ penalties, chance @ penalties)


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's alpha (2004, chapter 11): any number of doctors, cells may lack answers."""

    num_classes: int
    distance: Floats | None = None
    """Between classes, shape (K, K), zero on the diagonal; None: nominal."""

    def sums(self, ratings: Codes) -> csr_array:
        """Return each cell's coincidences: ratings (doctors, cells) to (cells, K * K)."""
        counts = answer_counts(ratings, self.num_classes)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True) - 1, 1)
        table = counts[:, :, None] * shares[:, None] - shares[:, None] * np.eye(self.num_classes)
        table[counts.sum(axis=1) < 2] = 0
        return csr_array(table.reshape(len(counts), self.num_classes**2))

    def of(self, totals: Floats) -> Floats:
        """Return alpha: totals (draws, K * K) to (draws, 1)."""
        k = self.num_classes
        delta = 1.0 - np.eye(k) if self.distance is None else self.distance
        coincidence = totals.reshape(-1, k, k)
        margins = coincidence.sum(axis=1)
        expected = np.einsum("bi,ij,bj->b", margins, delta, margins) - (margins * np.diag(delta)).sum(axis=1)
        number = np.maximum(margins.sum(axis=1) - 1, 1e-12)
        return _one_minus((delta * coincidence).sum(axis=(1, 2)), expected / number)[:, None]


@dataclass(frozen=True, slots=True)
class Fleiss:
    """Fleiss' kappa (1971), of cells with the same number of answers, see `equally_read`."""

    num_classes: int

    def sums(self, ratings: Codes) -> csr_array:
        """Return each cell's agreement and answers: ratings (doctors, cells) to (cells, K + 2)."""
        counts = answer_counts(ratings, self.num_classes)
        readers = counts.sum(axis=1)
        agreed = ((counts**2).sum(axis=1) - readers) / np.maximum(readers * (readers - 1), 1)
        return csr_array(np.column_stack([np.ones(len(counts)), agreed, counts]))

    def of(self, totals: Floats) -> Floats:
        """Return kappa: totals (draws, K + 2) to (draws, 1)."""
        cells, answers = totals[:, :1], totals[:, 2:]
        shares = answers / np.maximum(answers.sum(axis=1, keepdims=True), 1)
        room = np.where(cells > 0, 1 - (shares**2).sum(axis=1, keepdims=True), 0)
        return _one_minus(1 - totals[:, 1:2] / np.maximum(cells, 1), room)


def total(sums: csr_array) -> Floats:
    """Return the sums of all cells as one draw, shape (1, terms), of sums (cells, terms)."""
    return np.asarray(sums.sum(axis=0), np.float64)[None]


def _one_minus(seen: Floats, expected: Floats) -> Floats:
    """Return one minus the ratio, NaN where chance leaves no room to disagree."""
    return 1.0 - np.divide(seen, expected, out=np.full_like(seen, np.nan), where=expected > _NO_ROOM)


def _counted(rows: list[Codes], terms: list[Codes], shape: tuple[int, int]) -> csr_array:
    if not rows:
        return csr_array(shape, dtype=np.float64)
    places = (np.concatenate(rows), np.concatenate(terms))
    return csr_array((np.ones(len(places[0])), places), shape=shape)


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
