"""From several doctors' answers to one: soft labels, how reliable each doctor is, likely slips.

Pure functions of arrays. The outcome trains the probe and orders second looks; the answers
themselves are never changed by it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from labeling.pool import Floats

Codes = NDArray[np.intp]

FEWEST_SHARED = 30
"""Cells shared with others below which a doctor's weight stays 1: less is noise."""
_ITERATIONS = 100
_TOLERANCE = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Votes:
    """Answers, one per row: which cell, which annotator, which class; shape (m,) each."""

    cells: Codes
    annotators: Codes
    classes: Codes
    num_cells: int
    num_annotators: int
    num_classes: int

    def counts(self, weights: Floats | None = None) -> Floats:
        """Return the answers of each cell and class, shape (cells, classes), by weights of shape (annotators,)."""
        places = self.cells * self.num_classes + self.classes
        trust = None if weights is None else weights[self.annotators]
        flat = np.bincount(places, trust, self.num_cells * self.num_classes)
        return flat.reshape(self.num_cells, self.num_classes).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Reference:
    """Estimated truth and how each annotator answers."""

    probabilities: Floats
    """Of each cell's class, shape (cells, classes); uniform where nobody answered and no prior is given."""
    confusion: Floats
    """How often an annotator gives an answer to a true class, shape (annotators, true, answered)."""

    def accuracy(self) -> Floats:
        """Return each annotator's mean recall over the classes, shape (annotators,)."""
        diagonal: Floats = np.diagonal(self.confusion, axis1=1, axis2=2).mean(axis=1)
        return diagonal


def dawid_skene(
    votes: Votes, *, cell_prior: Floats | None = None, smoothing: float = 0.0, iterations: int = _ITERATIONS
) -> Reference:  # fmt: skip
    """Estimate the truth and the annotators' confusion together by expectation maximisation.

    Dawid and Skene 1979, Maximum Likelihood Estimation of Observer Error-Rates; starts at the
    majority. Differs from the paper where asked to: a prior of each cell's class, and one of the
    confusion (`smoothing` answers drawn 60 % to the right class, for few answers).

    Args:
        votes: The answers.
        cell_prior: Probabilities from elsewhere, such as a held-out probe, shape (cells, classes).
        smoothing: Answers that the prior of each true class is worth; 0 is the paper's method.
        iterations: At most this many.
    """
    num_classes = votes.num_classes
    counts = votes.counts() + 1e-12
    truth = counts / counts.sum(axis=1, keepdims=True)
    of_answer = _sums(votes.annotators * num_classes + votes.classes, votes.num_annotators * num_classes)
    of_cell = _sums(votes.cells, votes.num_cells)
    base = smoothing * (0.6 * np.eye(num_classes) + 0.4 / num_classes)
    for _ in range(iterations):
        shares = truth.mean(axis=0)
        confusion = np.tile(base, (votes.num_annotators, 1, 1))
        by_answer = (of_answer @ truth[votes.cells]).reshape(votes.num_annotators, num_classes, num_classes)
        confusion += by_answer.transpose(0, 2, 1)
        totals = confusion.sum(axis=2, keepdims=True)
        confusion = np.where(totals > 0, confusion / np.maximum(totals, 1e-300), 1 / num_classes)
        prior = np.log(np.maximum(shares if cell_prior is None else cell_prior, 1e-10))
        logs = prior + of_cell @ np.log(np.maximum(confusion, 1e-10))[votes.annotators, :, votes.classes]
        logs -= logs.max(axis=1, keepdims=True)
        after = np.exp(logs)
        after /= after.sum(axis=1, keepdims=True)
        change = np.abs(after - truth).max()
        truth = after
        if change < _TOLERANCE:
            break
    return Reference(truth, confusion)


def _sums(places: Codes, number: int) -> csr_array:
    """Return the matrix that adds up rows (m, K) by the place of each, shape (number, m)."""
    return csr_array((np.ones(len(places)), (places, np.arange(len(places)))), shape=(number, len(places)))


def reliability(votes: Votes) -> Floats:
    """Return a weight for each annotator, shape (annotators,): estimated recall over that of the best.

    An annotator who shares fewer than `FEWEST_SHARED` cells with others keeps weight 1.
    """
    readers = np.bincount(votes.cells, minlength=votes.num_cells)
    is_shared = readers[votes.cells] > 1
    shared = np.bincount(votes.annotators[is_shared], minlength=votes.num_annotators)
    weights = np.ones(votes.num_annotators)
    judged = shared >= FEWEST_SHARED
    if judged.sum() > 1:
        accuracy = dawid_skene(votes, smoothing=2.0).accuracy()
        weights[judged] = accuracy[judged] / accuracy[judged].max()
    return weights


def collect(
    answers: Sequence[tuple[str, str, str]], classes: Sequence[str]
) -> tuple[Votes, list[str], list[str]]:  # fmt: skip
    """Number cells and annotators of answers (cell, annotator, class).

    Returns:
        Votes, and the cells and the annotators in the order of their numbers.
    """
    cells = list(dict.fromkeys(cell for cell, _, _ in answers))
    annotators = sorted({annotator for _, annotator, _ in answers})
    places: tuple[Mapping[str, int], ...] = tuple(
        {name: place for place, name in enumerate(names)} for names in (cells, annotators, classes)
    )
    columns = [
        np.array([places[kind][answer[kind]] for answer in answers], np.intp) for kind in range(3)
    ]  # fmt: skip
    votes = Votes(
        cells=columns[0], annotators=columns[1], classes=columns[2],
        num_cells=len(cells), num_annotators=len(annotators), num_classes=len(classes),
    )  # fmt: skip
    return votes, cells, annotators


def soft_labels(votes: Votes, weights: Floats) -> Floats:
    """Return the share of each class in a cell's answers: (cells, classes), by weights of shape (annotators,)."""
    table = votes.counts(weights)
    shares: Floats = table / np.maximum(table.sum(axis=1, keepdims=True), 1e-12)
    return shares


def dispute_weight(answers: Sequence[str], totals: Mapping[str, int]) -> float:
    """Return how much a verdict about one cell changes: 0 where all agree, higher for even and rare disputes.

    The probe gives every class the same weight, so an answer of a class with n labels weighs 1/n. What
    a verdict moves is the weight of the answers that it overrules, expected over the answers given.

    Args:
        answers: The current answers to the cell, one of each doctor.
        totals: Labels of each category in the study.
    """
    given = Counter(answers)
    number = sum(given.values())
    weight = {name: count / number / max(totals.get(name, 1), 1) for name, count in given.items()}
    return sum(given[right] / number * sum(w for name, w in weight.items() if name != right) for right in given)


def likely_slips(probabilities: Floats, labels: Codes, *, most: int = 30) -> Codes:
    """Return rows whose label a held-out probe finds least likely, the least likely first.

    Confident learning (Northcutt et al. 2021): a row counts only where another class is likelier than
    that class usually is among its own labels. At most `most`: meant for a blinded second look, and
    never for correction by a program.

    Args:
        probabilities: Held out, shape (n, classes).
        labels: Given class of each row, shape (n,).
        most: At most this many rows.
    """
    num_classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=num_classes)
    usual = np.bincount(labels, weights=own, minlength=num_classes) / np.maximum(counts, 1)
    usual[counts == 0] = np.inf
    is_likelier = probabilities >= usual
    is_likelier[np.arange(len(labels)), labels] = False
    better = np.where(is_likelier, probabilities, -1.0).max(axis=1)
    suspects = np.flatnonzero(better > own)
    order: Codes = suspects[np.argsort(own[suspects], kind="stable")][:most]
    return order
