"""How far a probability may be believed: temperature, calibration error, sets, novelty.

Everything here is fitted on held-out logits (`heldout`), never on logits of labels that the probe has seen.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, log_softmax, softmax

from labeling.pool import Floats, spaced_rows

FEWEST_FOR_TEMPERATURE = 20
"""Labels below which a temperature is a coin toss."""
_CENTRE, _SPREAD = 0.2, 0.3
"""Of the temperature's logarithm, before a fit looks: on slides that nothing has seen a probe is too sure.

Chosen on draws of Herlev and CRIC (centres 0 to .3, spreads .2 to .5): few slides tell nothing better.
"""
_CONCENTRATIONS = np.array([1.0, 30.0])
"""Cells of each class that a prior of the classes' shares adds: any shares are as likely, or they are about alike."""
ASKED, _BLOCK = 1000, 4096
"""Labelled cells whose own neighbours are looked for, and labelled cells that are looked at together."""
_SHRINK = 20.0
"""Labels of a class at which its own quantile counts as much as that of all classes."""


def choose_temperature(
    logits: Floats, codes: NDArray[np.intp], weights: Floats | None = None, groups: NDArray[Any] | None = None
) -> float:
    """Choose the temperature that makes held-out logits most likely, drawn to a common one where slides are few.

    Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2. Differs from the paper: a
    normal prior on the logarithm, 1 below twenty labels, and cells of a slide, which are wrong together, count for
    as many as their design effect leaves of them (Kish 1965, Survey Sampling).

    Args:
        logits: Held out, shape (n, K).
        codes: Class of each row, shape (n,).
        weights: Trust in each row, shape (n,); None: all alike.
        groups: Slide of each row, shape (n,); None: each row is of a slide of its own.
    """
    if len(codes) < FEWEST_FOR_TEMPERATURE:
        return 1.0
    trust = np.ones(len(codes)) if weights is None else weights
    logs = np.linspace(-1.5, 1.5, 61)
    rows = np.arange(len(codes))
    losses = np.array([-trust * log_softmax(logits / np.exp(t), axis=1)[rows, codes] for t in logs])
    best = int(np.argmin(losses.sum(axis=1)[1:-1])) + 1
    pulls = losses[best + 1] - losses[best - 1]
    pulls -= pulls.mean()
    alike = 1.0
    if groups is not None and pulls.any():
        slides = np.unique(groups, return_inverse=True)[1]
        alike = max(1.0, float((np.bincount(slides, weights=pulls) ** 2).sum() / (pulls**2).sum()))
    doubts = ((logs - _CENTRE) / _SPREAD) ** 2 / 2
    return float(np.exp(logs[np.argmin(losses.sum(axis=1) / alike + doubts)]))


def shift_prior(logits: Floats, prior: Floats) -> Floats:
    """Turn logits of a balanced probe into those of a pool in which classes have these shares.

    Args:
        logits: Of a probe that gave every class the same weight, shape (n, K).
        prior: Share of each class in the pool, shape (K,), positive.
    """
    shifted: Floats = logits + np.log(prior * len(prior))
    return shifted


def class_shares(counts: NDArray[np.intp]) -> Floats:
    """Estimate shares of classes from a random sample's counts: (K,) to (K,), positive.

    A few cells leave it open whether the classes are about alike or a few hold nearly all. So two Dirichlet priors
    count for as much as each makes these counts likely (Nemenman et al. 2001, Entropy and Inference, Revisited;
    differs from the paper: they take all concentrations, here two).

    Args:
        counts: Cells of each class, shape (K,); without any, the shares are equal.
    """
    total, strengths = counts.sum(), _CONCENTRATIONS[:, None]
    likely = gammaln(strengths * len(counts)) - gammaln(strengths * len(counts) + total)
    likely += (gammaln(counts + strengths) - gammaln(strengths)).sum(axis=1, keepdims=True)
    shares: Floats = (softmax(likely, axis=0) * (counts + strengths) / (total + strengths * len(counts))).sum(axis=0)
    return shares


def expected_calibration_error(
    probabilities: Floats, codes: NDArray[np.intp], *, bins: int = 10, weights: Floats | None = None
) -> float:
    """Return the mean gap between the likeliest class's probability and how often it is right.

    Naeini et al. 2015; bins of equal width.

    Args:
        probabilities: Shape (n, K), n at least 1.
        codes: Class of each row, shape (n,).
        bins: How many.
        weights: Trust in each row, shape (n,); None: all alike.
    """
    trust = np.ones(len(codes)) if weights is None else weights
    places, gaps = _gaps(probabilities, codes, bins)
    return float(np.abs(np.bincount(places, weights=trust * gaps, minlength=bins)).sum() / trust.sum())


def squared_calibration_error(
    probabilities: Floats, codes: NDArray[np.intp], groups: NDArray[Any], *, bins: int = 10,
    weights: Floats | None = None,
) -> float | None:  # fmt: skip
    """Return the mean squared gap between probability and how often it is right, without what chance adds.

    The expected calibration error of a probe without fault is above zero, by as much as the labels are few. Here
    only products of gaps of two different slides count, which chance has not moved together.
    Kumar et al. 2019, Verified Uncertainty Calibration, section 4 (they take the binomial variance of cells off; cells
    of a slide are alike). Its root is a mean of gaps as the expected calibration error is, and not below it.

    Args:
        probabilities: Shape (n, K), n at least 1.
        codes: Class of each row, shape (n,).
        groups: Slide of each row, shape (n,).
        bins: How many, of equal width; those that cells of one slide alone reach are left out.
        weights: Trust in each row, shape (n,); None: all alike.

    Returns:
        Below zero too, by chance; None where no bin has cells of two slides.
    """
    trust = np.ones(len(codes)) if weights is None else weights
    places, gaps = _gaps(probabilities, codes, bins)
    names, slides = np.unique(groups, return_inverse=True)
    cells = np.bincount(slides * bins + places, minlength=len(names) * bins).reshape(-1, bins)
    sums = np.bincount(slides * bins + places, weights=trust * gaps, minlength=cells.size).reshape(-1, bins)
    number, total = (cells > 0).sum(axis=0), np.bincount(places, weights=trust, minlength=bins)
    kept = (number > 1) & (total > 0)
    if not kept.any():
        return None
    products = sums.sum(axis=0) ** 2 - (sums**2).sum(axis=0)
    squares = products[kept] * number[kept] / (number[kept] - 1) / total[kept]
    return float(squares.sum() / total[kept].sum())


def _gaps(probabilities: Floats, codes: NDArray[np.intp], bins: int) -> tuple[NDArray[np.intp], Floats]:
    """Return each row's bin and how much its likeliest class's probability is above what came: 0 or 1."""
    confidence = probabilities.max(axis=1)
    gaps: Floats = confidence - (probabilities.argmax(axis=1) == codes)
    return np.minimum((confidence * bins).astype(np.intp), bins - 1), gaps


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Cells whose suggestion had about the same probability, and how often it was right."""

    confidence: float
    """Mean probability of the likeliest class."""
    right: float
    low: float
    """Lower end of the 95 % interval of `right` (Wilson 1927)."""
    high: float
    cells: int


def reliability_bins(probabilities: Floats, codes: NDArray[np.intp], *, bins: int = 10) -> list[Bin]:
    """Lay out how far probabilities may be believed, for a reliability diagram; empty bins are left out.

    Args:
        probabilities: Held out, shape (n, K).
        codes: Class of each row, shape (n,).
        bins: Of equal width.
    """
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == codes
    places = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    found = []
    for place in np.unique(places):
        rows = places == place
        number, right = int(rows.sum()), float(is_right[rows].mean())
        middle = (right + 1.92 / number) / (1 + 3.84 / number)
        half = 1.96 * (right * (1 - right) / number + 0.96 / number**2) ** 0.5 / (1 + 3.84 / number)
        found.append(Bin(confidence=float(confidence[rows].mean()), right=right, low=max(0.0, middle - half),
                         high=min(1.0, middle + half), cells=number))  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class ConformalSets:
    """Sets of classes that hold the right one with a promised frequency.

    Split conformal prediction (Vovk et al. 2005) with the score `1 - p(right class)`. A class with
    enough labels has a threshold of its own, drawn towards that of all classes by its label count.
    Cells of a slide are alike, so what is unseen is a slide, not a cell: the row at infinity of the common quantile
    weighs as much as a mean slide (hierarchical conformal prediction, Dunn et al. 2022; they draw one row of
    each group, here all count).
    The promise is for cells like those of the calibration: slides left out, not picked by the probe.
    """

    alpha: float
    thresholds: Floats
    """Largest score that still belongs to the set, for each class, shape (K,)."""
    counts: NDArray[np.intp]
    """Labels of each class that the thresholds rest on, shape (K,)."""

    @classmethod
    def fit(
        cls,
        probabilities: Floats,
        codes: NDArray[np.intp],
        *,
        alpha: float = 0.1,
        shares: Floats | None = None,
        groups: NDArray[Any] | None = None,
    ) -> "ConformalSets | None":
        """Find the thresholds.

        Args:
            probabilities: Held out, shape (n, K).
            codes: Class of each row, shape (n,).
            alpha: How often the set may miss.
            shares: Shares of the classes in the pool, shape (K,); None: as in the rows.
            groups: Slide of each row, shape (n,); None: each row is of a slide of its own.

        Returns:
            None where the labels are too few for any promise: fewer than `1 / alpha - 1` in all.
        """
        num_classes = probabilities.shape[1]
        counts = np.bincount(codes, minlength=num_classes)
        if len(codes) < 1 / alpha - 1:
            return None
        scores = 1.0 - probabilities[np.arange(len(codes)), codes]
        weights = np.ones(len(codes)) if shares is None else (shares / np.maximum(counts, 1))[codes]
        slides = np.arange(len(codes)) if groups is None else groups
        common = _quantile(scores, weights, alpha, len(np.unique(slides)))
        thresholds = np.full(num_classes, common)
        for c in np.flatnonzero(counts >= 1 / alpha - 1):
            # By slides too, each class would promise far more than asked: the common threshold carries their number.
            own = _quantile(scores[codes == c], np.ones(counts[c]), alpha, counts[c])
            thresholds[c] = (counts[c] * own + _SHRINK * common) / (counts[c] + _SHRINK)
        return cls(alpha, thresholds, counts)

    def contains(self, probabilities: Floats) -> NDArray[np.bool_]:
        """Return which classes belong to each row's set, probabilities (n, K) to (n, K); the likeliest always does."""
        inside: NDArray[np.bool_] = 1.0 - probabilities <= self.thresholds + 1e-12
        inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
        return inside


def _quantile(scores: Floats, weights: Floats, alpha: float, slides: int) -> float:
    """Return the smallest score that covers `1 - alpha`, with one more slide of the mean weight at infinity."""
    order = np.argsort(scores)
    total = weights.sum() * (1 + 1 / slides)
    reached = np.cumsum(weights[order]) / total
    place = int(np.searchsorted(reached, 1 - alpha - 1e-12))
    return float(scores[order][place]) if place < len(scores) else 1.0


def novelty(
    units: NDArray[np.floating], labelled: NDArray[np.floating], own_places: NDArray[np.intp] | None = None
) -> Floats:
    """Return how unusual rows are for the labelled cells: shape (n,), 0 (familiar) to 1 (like none of them).

    The share of labelled cells with a closer labelled neighbour than the row has; 1 without two. A thousand are asked.

    Args:
        units: Unit vectors, shape (n, d).
        labelled: Unit vectors of the labelled cells, shape (m, d).
        own_places: Which labelled cell each row is, shape (n,); None: they are others.
    """
    if len(labelled) < 2:
        return np.ones(len(units))
    asked = spaced_rows(len(labelled), ASKED)
    own = np.sort(1.0 - nearest(labelled[asked], labelled, own_places=asked))
    share: Floats = np.searchsorted(own, 1.0 - nearest(units, labelled, own_places), side="left") / len(own)
    return share


def nearest(
    rows: NDArray[np.floating], labelled: NDArray[np.floating], own_places: NDArray[np.intp] | None = None
) -> NDArray[np.floating]:
    """Return each row's similarity to the labelled cell that is nearest, (n, d) to (n,).

    Args:
        rows: Unit vectors, shape (n, d).
        labelled: Unit vectors, shape (m, d).
        own_places: Which labelled cell each row is, shape (n,), and is not compared with; None: they are others.
    """
    found = np.full(len(rows), -np.inf, rows.dtype)
    for start in range(0, len(labelled), _BLOCK):
        block = rows @ labelled[start : start + _BLOCK].T
        if own_places is not None:
            here = np.flatnonzero((own_places >= start) & (own_places < start + _BLOCK))
            block[here, own_places[here] - start] = -np.inf
        np.maximum(found, block.max(axis=1), out=found)
    return found


def probabilities_of(logits: Floats, temperature: float, prior: Floats | None = None) -> Floats:
    """Return what a doctor may be shown: calibrated logits, (n, K) to (n, K), for a prior (K,) where it is known."""
    calibrated = logits / temperature
    probabilities: Floats = softmax(calibrated if prior is None else shift_prior(calibrated, prior), axis=1)
    return probabilities
