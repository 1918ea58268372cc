"""The linear probe: what a few labels say about all cells. Arrays in, probabilities out.

L2-regularised multinomial logistic regression on standardised frozen embeddings, every class of
equal weight: in cervical cytology the rare classes are the ones that matter.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]
Words = NDArray[Any]

_FOLDS = 5
_SMALLEST_CLASS_FOR_TEMPERATURE = 10


class LinearProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Multinomial logistic regression with balanced classes, in scikit-learn's conventions.

    Minimises `sum_i s_i CE(z_i W + b) + |W|^2 / (2 C)` with `z = (x - mean) / (std sqrt(d))` and
    `s_i = w_i n / (K n_class)`; the intercept is not penalised.

    Args:
        C: Inverse strength of the penalty.
        tol: Where the solver stops (largest component of the projected gradient).
        max_iter: Most steps of the solver.
        temperature: Divides the logits; from `choose_temperature`, 1 leaves them.
    """

    def __init__(
        self, C: float = 20.0, tol: float = 1e-4, max_iter: int = 500, temperature: float = 1.0  # noqa: N803
    ) -> None:  # fmt: skip
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.temperature = temperature

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit the probe.

        Args:
            X: Embeddings, shape (n, d).
            y: Class of each row.
            sample_weight: Trust in each row, shape (n,); None: all alike.

        Raises:
            ValueError: Fewer than two classes, or values that are not finite.
        """
        rows, answers = _checked(self, X, y)
        self.classes_, codes = np.unique(answers, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("1 class in the labels: a probe needs two; label another class.")
        given = np.ones(len(codes)) if sample_weight is None else sample_weight
        weights = np.asarray(given, np.float64)
        totals = np.bincount(codes, weights=weights, minlength=len(self.classes_))
        balance = len(codes) / (len(self.classes_) * np.maximum(totals, 1e-12))
        self.mean_ = rows.mean(axis=0)
        std = rows.std(axis=0)
        self.scale_ = np.where(std > 1e-12, std, 1.0) * np.sqrt(rows.shape[1])
        with threadpool_limits(1):
            self.coef_, self.intercept_ = self._solve(
                (rows - self.mean_) / self.scale_, codes, weights * balance[codes]
            )
        return self

    def decision_function(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return logits: shape (n, classes), or (n,) of the second class where there are two."""
        logits = self.logits(X)
        difference: Floats = logits[:, 1] - logits[:, 0]
        return difference if len(self.classes_) == 2 else logits

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return probabilities, shape (n, classes) in the order of `classes_`."""
        probabilities: Floats = softmax(self.logits(X) / self.temperature, axis=1)
        return probabilities

    def predict(self, X: ArrayLike) -> Words:  # noqa: N803
        """Return the likeliest class of each row."""
        likeliest: Words = self.classes_[self.logits(X).argmax(axis=1)]
        return likeliest

    def logits(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return one logit for each class, shape (n, classes), before the temperature."""
        check_is_fitted(self)
        rows: Floats = validate_data(self, X, dtype=np.float64, reset=False)
        logits: Floats = ((rows - self.mean_) / self.scale_) @ self.coef_.T + self.intercept_
        return logits

    def _solve(self, z: Floats, codes: NDArray[np.intp], weights: Floats) -> tuple[Floats, Floats]:
        """Solve in the row space where there are fewer rows than features: the same optimum."""
        basis: Floats | None = None
        if len(z) < z.shape[1]:
            left, singular, right = np.linalg.svd(z, full_matrices=False)
            z, basis = left * singular, right
        num_classes, width = len(self.classes_), z.shape[1]
        targets = np.eye(num_classes)[codes]

        def objective(flat: Floats) -> tuple[float, Floats]:
            matrix = flat.reshape(num_classes, width + 1)
            logs = log_softmax(z @ matrix[:, :-1].T + matrix[:, -1], axis=1)
            loss = -(weights * (targets * logs).sum(axis=1)).sum()
            loss += (matrix[:, :-1] ** 2).sum() / (2 * self.C)
            error = weights[:, None] * (np.exp(logs) - targets)
            gradient = np.column_stack([error.T @ z + matrix[:, :-1] / self.C, error.sum(axis=0)])
            return loss, gradient.ravel()

        start = np.zeros(num_classes * (width + 1))
        options = {"maxiter": self.max_iter, "gtol": self.tol}
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)  # type: ignore[call-overload]
        self.n_iter_ = found.nit
        matrix = found.x.reshape(num_classes, width + 1)
        coef = matrix[:, :-1] if basis is None else matrix[:, :-1] @ basis
        return coef, matrix[:, -1] - matrix[:, -1].mean()


def _checked(probe: LinearProbe, rows: ArrayLike, answers: ArrayLike) -> tuple[Floats, Words]:
    checked: tuple[Floats, Words] = validate_data(probe, rows, answers, dtype=np.float64)
    check_classification_targets(checked[1])
    return checked


def out_of_fold_logits(
    vectors: Floats, y: Words, groups: Words, *, seed: int = 0
) -> tuple[Floats, NDArray[np.bool_]] | None:
    """Predict every labelled row by a probe that has not seen its group.

    Args:
        vectors: Embeddings, shape (n, d).
        y: Class of each row.
        groups: Slide of each row; no slide is on both sides.
        seed: Source of chance of the folds.

    Returns:
        Logits (n, classes in order) and which rows have them; None when the labels are too few:
        every class needs two rows and two groups.
    """
    classes, codes = np.unique(y, return_inverse=True)
    smallest = min(len(set(groups[codes == c])) for c in range(len(classes)))
    if len(classes) < 2 or smallest < 2:
        return None
    logits, has_logits = np.zeros((len(y), len(classes))), np.zeros(len(y), bool)
    folds = StratifiedGroupKFold(min(_FOLDS, smallest), shuffle=True, random_state=seed)
    for train, test in folds.split(vectors, y, groups):
        if len(set(y[train])) < len(classes):
            continue
        logits[test] = LinearProbe().fit(vectors[train], y[train]).logits(vectors[test])
        has_logits[test] = True
    return (logits, has_logits) if has_logits.any() else None


def choose_temperature(logits: Floats, codes: NDArray[np.intp]) -> float:
    """Choose the temperature that makes out-of-fold logits most likely, with a mild prior at 1.

    Below ten labels for a class the choice is a coin toss, so it stays 1.
    """
    if np.bincount(codes).min() < _SMALLEST_CLASS_FOR_TEMPERATURE:
        return 1.0
    grid = np.exp(np.linspace(-1.5, 1.5, 61))
    rows = np.arange(len(codes))
    losses = [-log_softmax(logits / t, axis=1)[rows, codes].sum() + 0.5 * np.log(t) ** 2 for t in grid]
    return float(grid[int(np.argmin(losses))])


def grouped_balanced_accuracy(logits: Floats, codes: NDArray[np.intp]) -> float:
    """Return the mean of the classes' recalls of out-of-fold logits."""
    return float(balanced_accuracy_score(codes, logits.argmax(axis=1)))
