"""What a probe says of cells whose slide it has not seen: the honest basis of every figure about it.

Folds are grouped by slide: folds that split slides flatter by several points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold

from labeling.pool import Floats
from labeling.probes import LinearProbe, Words

FOLDS = 5
STRENGTHS = (2.0, 20.0, 200.0)
"""Candidates for the probe's C; its default is the middle one."""
_FEWEST_FOR_CHOICE = 50
"""Below so many labels a choice of C is noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """Out-of-fold logits: shape (n, K) in the order of `classes`, and which rows have them."""

    classes: Words
    codes: NDArray[np.intp]
    """Class of each row as a place in `classes`, shape (n,)."""
    logits: Floats
    has_logits: NDArray[np.bool_]
    weights: Floats
    """Trust in each row, shape (n,)."""
    groups: Words
    """Slide of each row, shape (n,)."""

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the classes' recalls."""
        rows = self.has_logits
        guesses = self.logits[rows].argmax(axis=1)
        return float(balanced_accuracy_score(self.codes[rows], guesses, sample_weight=self.weights[rows]))

    @property
    def log_loss(self) -> float:
        """Mean of the classes' mean log-losses."""
        rows = np.flatnonzero(self.has_logits)
        codes, weights = self.codes[rows], self.weights[rows]
        losses = -log_softmax(self.logits[rows], axis=1)[np.arange(len(rows)), codes]
        totals = np.bincount(codes, weights=weights, minlength=len(self.classes))
        sums = np.bincount(codes, weights=weights * losses, minlength=len(self.classes))
        return float((sums[totals > 0] / totals[totals > 0]).mean())


def held_out(
    vectors: Floats, y: Words, groups: Words, *, probe: LinearProbe,
    sample_weight: Floats | None = None, seed: int = 0, is_extra: NDArray[np.bool_] | None = None,
    is_partial: bool = False,
) -> HeldOut | None:  # fmt: skip
    """Predict every labelled row by a probe that has not seen its group.

    Args:
        vectors: Embeddings, shape (n, d).
        y: Class of each row.
        groups: Slide of each row; no slide is on both sides.
        probe: Settings of the fits; where it is fitted already, the folds begin at its solution.
        sample_weight: Trust in each row, shape (n,).
        seed: Source of chance of the folds.
        is_extra: Rows that are only learned from, wherever their slide is not the one to predict.
        is_partial: Rows of classes that lie in one group are only learned from too.

    Returns:
        None when the labels are too few: every class needs two rows in two groups; with `is_partial` two classes do.
    """
    classes, codes = np.unique(y, return_inverse=True)
    extra = np.zeros(len(y), bool) if is_extra is None else is_extra
    if is_partial:
        extra = extra | _in_one_group(codes, groups, ~extra)
    rows = np.flatnonzero(~extra)
    if is_partial and len(np.unique(codes[rows])) < 2:
        return None
    smallest = min((len(set(groups[rows][codes[rows] == c])) for c in np.unique(codes[rows])), default=0)
    if len(classes) < 2 or smallest < 2:
        return None
    weights = np.ones(len(y)) if sample_weight is None else sample_weight
    logits, has_logits = np.zeros((len(y), len(classes))), np.zeros(len(y), bool)
    folds = StratifiedGroupKFold(min(FOLDS, smallest), shuffle=True, random_state=seed)
    for fold_train, fold_test in folds.split(vectors[rows], y[rows], groups[rows]):
        test = rows[fold_test]
        train = np.concatenate([np.flatnonzero(extra & ~np.isin(groups, groups[test])), rows[fold_train]])
        if len(set(y[train])) < len(classes):
            continue
        fold = starting_at(probe).fit(vectors[train], y[train], sample_weight=weights[train])
        logits[test] = fold.logits(vectors[test])
        has_logits[test] = True
    if not has_logits.any():
        return None
    return HeldOut(classes=classes, codes=codes, logits=logits, has_logits=has_logits, weights=weights, groups=groups)


def _in_one_group(codes: NDArray[np.intp], groups: Words, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which rows are of a class whose counted rows lie in one group, shape (n,)."""
    lonely = [c for c in np.unique(codes[counted]) if len(set(groups[counted & (codes == c)])) < 2]
    return np.isin(codes, lonely)


def choose_strength(
    vectors: Floats, y: Words, groups: Words, *, probe: LinearProbe,
    sample_weight: Floats | None = None, candidates: Sequence[float] = STRENGTHS,
    is_extra: NDArray[np.bool_] | None = None,
) -> float:  # fmt: skip
    """Choose the probe's C by the log-loss on slides left out; arguments as in `held_out`.

    Classes that lie on one slide have no part in it: else one new class would take the choice back.

    Returns:
        The probe's own C while the labels are too few for a choice.
    """
    if len(y) - (0 if is_extra is None else is_extra.sum()) < _FEWEST_FOR_CHOICE:
        return float(probe.C)
    losses = {}
    for strength in candidates:
        found = held_out(
            vectors, y, groups, probe=clone(probe).set_params(C=strength), sample_weight=sample_weight,
            is_extra=is_extra, is_partial=True,
        )  # fmt: skip
        if found is None:
            return float(probe.C)
        losses[strength] = found.log_loss
    return min(losses, key=losses.__getitem__)


def starting_at(probe: LinearProbe) -> LinearProbe:
    """Return a fresh probe with the same settings that begins at the given one's solution, where that is fitted."""
    fresh: LinearProbe = clone(probe).set_params(warm_start=True)
    for name in ("classes_", "coef_", "intercept_", "mean_", "scale_"):
        if hasattr(probe, name):
            setattr(fresh, name, getattr(probe, name))
    return fresh
