"""From labelled rows to a probe with all that is known about it: strength, temperature, sets, figures.

Pure functions of arrays. The final fit begins at zero: equal labels give equal weights, bit for bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from labeling.calibration import (
    ConformalSets,
    choose_temperature,
    class_shares,
    expected_calibration_error,
    probabilities_of,
    squared_calibration_error,
)
from labeling.heldout import HeldOut, choose_strength, held_out
from labeling.pool import Floats, PoolScale
from labeling.probes import LinearProbe, Words

FEWEST_RANDOM = 10
"""Random-arm labels below which the classes' shares in the pool stay unknown."""
ALPHA = 0.1
"""How often a set of classes may miss the right one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """Labelled rows: a cell stands once for every class that somebody gave it.

    All have shape (n,), `vectors` shape (n, d).
    """

    cell_ids: list[str]
    vectors: Floats
    classes: Words
    weights: Floats
    """Trust in each row; those of one cell add up to at most 1."""
    slides: Words
    is_random: NDArray[np.bool_]
    """Which cells were chosen by chance: only they tell the classes' shares."""
    is_exemplar: NDArray[np.bool_]
    """Which rows are exemplars: learned from, and no part of any figure. They come first."""

    def first(self, count: int) -> "Training":
        """Return the first rows."""
        return Training(
            cell_ids=self.cell_ids[:count], vectors=self.vectors[:count], classes=self.classes[:count],
            weights=self.weights[:count], slides=self.slides[:count], is_random=self.is_random[:count],
            is_exemplar=self.is_exemplar[:count],
        )  # fmt: skip

    def answers(self) -> "Training":
        """Return the doctors' rows alone."""
        rows = np.flatnonzero(~self.is_exemplar)
        return Training(
            cell_ids=[self.cell_ids[row] for row in rows], vectors=self.vectors[rows], classes=self.classes[rows],
            weights=self.weights[rows], slides=self.slides[rows], is_random=self.is_random[rows],
            is_exemplar=self.is_exemplar[rows],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A fitted probe with its calibration."""

    probe: LinearProbe
    prior: Floats | None
    """Shares of the classes in the pool, shape (K,); None while too few random cells are labelled."""
    counts: Floats
    """Labels of each class, shape (K,); a cell that doctors call differently counts in parts."""
    metrics: dict[str, Any]


def fit(training: Training, scale: PoolScale, *, strength: float) -> Fit:
    """Fit and calibrate.

    Args:
        training: Rows of at least two classes.
        scale: Of the pool.
        strength: The probe's C, from `tune`.
    """
    probe = _probe(scale, strength).fit(training.vectors, training.classes, sample_weight=training.weights)
    classes, codes = np.unique(training.classes, return_inverse=True)
    counts: Floats = np.bincount(codes, weights=np.where(training.is_exemplar, 0.0, training.weights)).astype(
        np.float64
    )
    prior = _prior(training, codes, len(classes))
    metrics: dict[str, Any] = {
        "balanced_accuracy": None, "calibration_error": None, "conformal": None,
        "labels_per_class": dict(zip(classes.tolist(), counts.round(3).tolist(), strict=True)),
        "prior": None if prior is None else prior.round(6).tolist(), "random_labels": int(training.is_random.sum()),
        "exemplars": int(training.is_exemplar.sum()),
    }  # fmt: skip
    found = _held_out(training, probe)
    # A class that lies on one slide keeps back figures and sets, which would be silent about it, not the temperature.
    partial = found or _held_out(training, probe, is_partial=True)
    if partial is not None:
        probe.set_params(temperature=_temperature(partial))
    if found is not None:
        metrics |= _held_out_metrics(found, probe.temperature, prior)
    return Fit(probe=probe, prior=prior, counts=counts, metrics=metrics)


def tune(training: Training, scale: PoolScale) -> float:
    """Choose the probe's strength by folds that leave slides out."""
    return choose_strength(
        training.vectors, training.classes, training.slides,
        probe=_probe(scale, LinearProbe().C), sample_weight=training.weights, is_extra=training.is_exemplar,
    )  # fmt: skip


def spread_parents(
    probe: LinearProbe, vectors: Floats, covers: list[tuple[str, ...]]
) -> list[dict[str, float]]:  # fmt: skip
    """Turn answers at a parent node into shares of the classes below it, as the probe sees the cell.

    Args:
        probe: Fitted on the single categories.
        vectors: Of the cells, shape (n, d).
        covers: For each cell the categories between which the doctor left the choice open.

    Returns:
        For each cell the share of each class; empty where the probe knows none of them.
    """
    probabilities = probe.predict_proba(vectors)
    place: Mapping[str, int] = {name: number for number, name in enumerate(probe.classes_.tolist())}
    shares = []
    for row, open_classes in zip(probabilities, covers, strict=True):
        known = {name: float(row[place[name]]) for name in open_classes if name in place}
        total = sum(known.values())
        shares.append({name: value / total for name, value in known.items()} if total > 0 else {})
    return shares


SETTINGS = ("C", "tol", "max_iter", "temperature", "balanced")
"""What a probe is made with, besides labels and the pool's scale."""


def refit_settings(probe: LinearProbe) -> dict[str, Any]:
    """Return the probe's settings without the pool's scale, which the vectors tell."""
    return {name: probe.get_params()[name] for name in SETTINGS}


def rebuild(training: Training, scale: PoolScale, settings: Mapping[str, Any]) -> LinearProbe:
    """Fit a stored probe again: from the same rows, scale and settings come the same weights, bit for bit."""
    probe = clone(_probe(scale, settings["C"])).set_params(**settings)
    refitted: LinearProbe = probe.fit(training.vectors, training.classes, sample_weight=training.weights)
    return refitted


def _probe(scale: PoolScale, strength: float) -> LinearProbe:
    return LinearProbe(C=strength, mean=scale.mean, std=scale.std)


def _held_out(training: Training, probe: LinearProbe, *, is_partial: bool = False) -> HeldOut | None:
    return held_out(
        training.vectors, training.classes, training.slides, probe=probe, sample_weight=training.weights,
        is_extra=training.is_exemplar, is_partial=is_partial,
    )  # fmt: skip


def _prior(training: Training, codes: NDArray[np.intp], num_classes: int) -> Floats | None:
    chosen = codes[training.is_random]
    if len(chosen) < FEWEST_RANDOM:
        return None
    return class_shares(np.bincount(chosen, minlength=num_classes))


def _temperature(found: HeldOut) -> float:
    rows = found.has_logits
    return choose_temperature(found.logits[rows], found.codes[rows], found.weights[rows], found.groups[rows])


def _held_out_metrics(found: HeldOut, temperature: float, prior: Floats | None) -> dict[str, Any]:
    rows = found.has_logits
    codes, weights = found.codes[rows], found.weights[rows]
    probabilities = probabilities_of(found.logits[rows], temperature)
    # The sets are asked about probabilities as they are told: of the pool's shares where these are known.
    told = probabilities_of(found.logits[rows], temperature, prior)
    sets = ConformalSets.fit(told, codes, alpha=ALPHA, shares=prior, groups=found.groups[rows])
    return {
        "balanced_accuracy": found.balanced_accuracy,
        "calibration_error": expected_calibration_error(probabilities, codes, weights=weights),
        "squared_calibration_error": squared_calibration_error(
            probabilities, codes, found.groups[rows], weights=weights
        ),
        "held_out_labels": int(rows.sum()),
        "conformal": None if sets is None else {
            "alpha": sets.alpha, "thresholds": sets.thresholds.round(6).tolist(), "labels": sets.counts.tolist()
        },
    }  # fmt: skip
