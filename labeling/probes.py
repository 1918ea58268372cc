"""The linear probe: what a few labels say about all cells. Arrays in, probabilities out.

L2-regularised multinomial logistic regression on standardised frozen embeddings, every class of
equal weight: in cervical cytology the rare classes are the ones that matter.
"""

import functools
import numbers
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from threadpoolctl import ThreadpoolController

from labeling.newton import Problem
from labeling.pool import Floats

Words = NDArray[Any]


class LinearProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Multinomial logistic regression with balanced classes, in scikit-learn's conventions.

    Minimises `sum_i s_i CE(z_i W + b) + |W|^2 / (2 C)` with `z = (x - mean) / (std sqrt(d))` and
    `s_i = w_i sum(w) / (K sum(w of the class))`; the intercept is not penalised. The optimum is
    unique, so a warm start changes the time and not the answer.

    A row may stand more than once: a cell that two doctors call differently is two rows whose
    weights add up to the trust in the cell.

    Args:
        C: Inverse strength of the penalty.
        tol: Where the solver stops: length of the gradient, per row.
        max_iter: Most steps of the solver.
        temperature: Divides the logits; from `choose_temperature`, 1 leaves them.
        balanced: Give every class the same weight; False: every row.
        mean: Of the pool, shape (d,); None: of the labelled rows.
        std: Of the pool, shape (d,); None: of the labelled rows.
        warm_start: Begin at the last solution of this object, also where a class is new.
    """

    def __init__(
        self, C: float = 20.0, tol: float = 1e-5, max_iter: int = 500, temperature: float = 1.0,  # noqa: N803
        balanced: bool = True, mean: Floats | None = None, std: Floats | None = None, warm_start: bool = False,
    ) -> None:  # fmt: skip
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.temperature = temperature
        self.balanced = balanced
        self.mean = mean
        self.std = std
        self.warm_start = warm_start

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit the probe.

        Args:
            X: Embeddings, shape (n, d).
            y: Class of each row.
            sample_weight: Trust in each row, shape (n,), not negative; None: all alike.

        Raises:
            ValueError: Fewer than two classes, values that are not finite, or settings that make no sense.
        """
        rows, answers = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(answers)
        self._check_settings(rows.shape[1])
        weights: Floats = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        counts = weights > 0
        rows, answers, weights = rows[counts], answers[counts], weights[counts]
        before = self._raw_solution() if self.warm_start else None
        self.classes_, codes = np.unique(answers, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"{len(self.classes_)} class in the labels: a probe needs two; label another class.")
        if self.balanced:
            totals = np.bincount(codes, weights=weights)
            weights = weights * weights.sum() / (len(totals) * totals[codes])
        self._standardise(rows, np.asarray(sample_weight, np.float64)[counts] if sample_weight is not None else None)
        start = None if before is None else self._as_start(*before)
        with _threads().limit(limits=1):
            problem = Problem(
                z=(rows - self.mean_) / self.scale_, codes=codes, weights=weights,
                num_classes=len(self.classes_), strength=self.C,
            )  # fmt: skip
            solution, self.n_iter_ = problem.solve(tol=self.tol, most_steps=self.max_iter, start=start)
        self.coef_, self.intercept_ = solution[:, :-1], solution[:, -1] - solution[:, -1].mean()
        return self

    def decision_function(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return logits of X, shape (n, d): shape (n, classes), or (n,) of the second class where there are two."""
        logits = self.logits(X)
        difference: Floats = logits[:, 1] - logits[:, 0]
        return difference if len(self.classes_) == 2 else logits

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return probabilities: X of shape (n, d) to (n, classes) in the order of `classes_`."""
        probabilities: Floats = softmax(self.logits(X) / self.temperature, axis=1)
        return probabilities

    def predict(self, X: ArrayLike) -> Words:  # noqa: N803
        """Return the likeliest class of each row, shape (n,)."""
        best = self.logits(X).argmax(axis=1)
        likeliest: Words = self.classes_[best]
        return likeliest

    def logits(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return one logit for each class, X of shape (n, d) to (n, classes), before the temperature."""
        check_is_fitted(self)
        rows: Floats = validate_data(self, X, dtype=np.float64, reset=False)
        logits: Floats = ((rows - self.mean_) / self.scale_) @ self.coef_.T + self.intercept_
        return logits

    def raw_weights(self) -> tuple[Floats, Floats]:
        """Return weights (classes, d) and intercepts (classes,) that take embeddings as they are."""
        check_is_fitted(self)
        weights: Floats = self.coef_ / self.scale_
        return weights, self.intercept_ - weights @ self.mean_

    def _check_settings(self, num_features: int) -> None:
        """Refuse settings that would give numbers that are none.

        Raises:
            ValueError: Of the first such setting.
        """
        for name in ("C", "temperature", "tol", "max_iter"):
            value = getattr(self, name)
            if not (isinstance(value, numbers.Real) and 0 < float(value) < np.inf):
                raise ValueError(f"{name}={value!r}: give a number above 0.")
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None and (np.shape(value) != (num_features,) or not np.isfinite(value).all()):
                raise ValueError(
                    f"{name}: shape {np.shape(value)}, for {num_features} features it has to be ({num_features},), all "
                    "finite; None takes that of the rows."
                )

    def _standardise(self, rows: Floats, weights: Floats | None) -> None:
        centre, spread = self.mean, self.std
        if centre is None or spread is None:
            middle = np.average(rows, axis=0, weights=weights)
            centre = middle if centre is None else centre
            spread = np.sqrt(np.average((rows - middle) ** 2, axis=0, weights=weights)) if spread is None else spread
        self.mean_, std = np.asarray(centre, np.float64), np.asarray(spread, np.float64)
        self.scale_ = np.where(std > 1e-12, std, 1.0) * np.sqrt(rows.shape[1])

    def _raw_solution(self) -> tuple[Words, Floats, Floats] | None:
        if not hasattr(self, "coef_"):
            return None
        return (self.classes_, *self.raw_weights())

    def _as_start(self, classes: Words, weights: Floats, intercepts: Floats) -> Floats | None:
        """Bring an earlier solution to the present classes and scale; a new class begins at zero."""
        if weights.shape[1] != len(self.mean_):
            return None
        start = np.zeros((len(self.classes_), len(self.mean_) + 1))
        for row, name in enumerate(self.classes_):
            known = np.flatnonzero(classes == name)
            if len(known):
                weight = weights[known[0]]
                start[row, :-1] = weight * self.scale_
                start[row, -1] = intercepts[known[0]] + weight @ self.mean_
        return start


@functools.cache
def _threads() -> ThreadpoolController:
    """Find the BLAS libraries once: looking for them costs as much as a small fit."""
    return ThreadpoolController()
