"""The optimum of a multinomial logistic regression by truncated Newton steps.

Each step is sought by conjugate gradients, as exactly as the gradient at hand is worth (Nocedal and Wright 2006,
Numerical Optimization, chapter 7.1). Where rows are fewer than features the weights are sums of the rows, in whose span
the optimum lies: then an inner step costs one product with the rows' Gram matrix.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.pool import Floats

_FLOOR = 1e-13
"""Of the loss: a change below is rounding."""
_MOST_HALVINGS = 40


class _Space:
    """Where weights are sought: among the sums of the rows z, shape (n, d), or among all of d numbers."""

    def __init__(self, z: Floats, num_classes: int) -> None:
        self.z, self.num_classes = z, num_classes
        self.gram = z @ z.T if len(z) < z.shape[1] else None
        self.map = np.ascontiguousarray(z.T) if self.gram is None else self.gram

    def weights(self, point: "_Point") -> Floats:
        """Return weights and intercepts, shape (K, d + 1)."""
        weights = point.coefs if self.gram is None else point.coefs @ self.z
        return np.column_stack([weights, point.intercepts])

    def gradient(self, errors: Floats, shrunk: Floats) -> "_Point":
        """Return the gradient of errors of the logits, shape (K, n), and of the penalty, as coefficients."""
        point = _Point.zero(self)
        np.add(errors if self.gram is not None else errors @ self.z, shrunk, out=point.coefs)
        np.matmul(point.coefs, self.map, out=point.logits)
        point.intercepts[:] = errors.sum(axis=1)
        return point

    def dot(self, one: "_Point", other: "_Point") -> float:
        """Return the product of two sets of weights and intercepts."""
        return self.penalty(one, other) + float(one.intercepts @ other.intercepts)

    def penalty(self, one: "_Point", other: "_Point") -> float:
        """Return the product of two sets of weights."""
        return float(np.vdot(one.coefs, other.coefs if self.gram is None else other.logits))


@dataclass(slots=True)
class _Point:
    """Weights with what they give: one buffer, so that a step is one addition."""

    all: Floats
    coefs: Floats
    """Shape (K, rows or features)."""
    logits: Floats
    """What they add to the logits of the rows, without the intercepts, shape (K, n)."""
    intercepts: Floats
    """Shape (K,)."""

    @classmethod
    def zero(cls, space: _Space) -> "_Point":
        rows, columns = space.map.shape
        k = space.num_classes
        buffer = np.zeros(k * (rows + columns + 1))
        one, two = k * rows, k * (rows + columns)
        return cls(buffer, buffer[:one].reshape(k, rows), buffer[one:two].reshape(k, columns), buffer[two:])

    def total(self) -> Floats:
        """Return the logits with the intercepts, shape (K, n)."""
        return self.logits + self.intercepts[:, None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Minimise `sum_i s_i CE(z_i W + b) + |W|^2 / (2 C)`."""

    z: Floats
    """Shape (n, d)."""
    codes: NDArray[np.intp]
    """Class of each row, shape (n,)."""
    weights: Floats
    """Of the rows, s, shape (n,)."""
    num_classes: int
    strength: float
    """C."""

    def solve(self, *, tol: float, most_steps: int, start: Floats | None = None) -> tuple[Floats, int]:
        """Return weights and intercepts, shape (K, d + 1), and the number of steps.

        Args:
            tol: Length of the gradient for each unit of the rows' weights at which the search ends.
            most_steps: Steps after which it ends anyway.
            start: Weights and intercepts to begin at, shape (K, d + 1); zero where that is better.
        """
        space = _Space(self.z, self.num_classes)
        point = self._start(space, start)
        loss, goal, first, steps = self._loss(space, point), tol * self.weights.sum(), 0.0, 0
        while steps < most_steps:
            shares, errors = self._errors(point.total())
            gradient = space.gradient(errors, point.coefs / self.strength)
            length = np.sqrt(space.dot(gradient, gradient))
            first = first or length
            if length <= goal:
                break
            direction = self._direction(space, gradient, shares, min(0.25, np.sqrt(length / first)))
            moved = self._move(space, point, loss, direction, space.dot(gradient, direction))
            if moved is None:
                break
            point, loss = moved
            steps += 1
        return space.weights(point), steps

    def _start(self, space: _Space, start: Floats | None) -> _Point:
        zero = _Point.zero(space)
        if start is None:
            return zero
        point = _Point.zero(space)
        point.intercepts[:] = start[:, -1]
        if space.gram is None:
            point.coefs[:] = start[:, :-1]
        else:
            # At an optimum the weights are so many times the rows: near it, a good beginning for other rows.
            point.coefs[:] = -self.strength * self._errors(start[:, :-1] @ self.z.T + start[:, -1:])[1]
        np.matmul(point.coefs, space.map, out=point.logits)
        return point if self._loss(space, point) < self._loss(space, zero) else zero

    def _errors(self, logits: Floats) -> tuple[Floats, Floats]:
        """Return probabilities, and the loss's derivatives by the logits, shape (K, n) each."""
        shares = np.exp(logits - logits.max(axis=0))
        shares /= shares.sum(axis=0)
        errors = shares * self.weights
        errors[self.codes, np.arange(len(self.codes))] -= self.weights
        return shares, errors

    def _loss(self, space: _Space, point: _Point) -> float:
        logits = point.total()
        top = logits.max(axis=0)
        chosen = logits[self.codes, np.arange(len(self.codes))]
        losses = np.log(np.exp(logits - top).sum(axis=0)) + top - chosen
        return float(self.weights @ losses) + 0.5 * space.penalty(point, point) / self.strength

    def _direction(self, space: _Space, gradient: _Point, shares: Floats, share: float) -> _Point:
        """Solve for the Newton step until what is left of the gradient is below a share of it."""
        step, rest, way = _Point.zero(space), _Point.zero(space), _Point.zero(space)
        np.negative(gradient.all, out=rest.all)
        way.all[:] = rest.all
        weighted = shares * self.weights
        left = space.dot(rest, rest)
        stop = share**2 * left
        for _ in range(way.all.size):
            change = weighted * way.total()
            change -= shares * change.sum(axis=0)
            bent = space.gradient(change, way.coefs / self.strength)
            length = left / space.dot(way, bent)
            step.all += length * way.all
            bent.all *= length
            rest.all -= bent.all
            before, left = left, space.dot(rest, rest)
            if left <= stop:
                break
            way.all *= left / before
            way.all += rest.all
        return step

    def _move(
        self, space: _Space, point: _Point, loss: float, direction: _Point, slope: float
    ) -> tuple[_Point, float] | None:
        """Go as far as the loss falls; None where it falls no more."""
        length = 1.0
        for _ in range(_MOST_HALVINGS):
            moved = _Point.zero(space)
            np.add(point.all, length * direction.all, out=moved.all)
            now = self._loss(space, moved)
            if now <= loss + 1e-4 * length * slope + _FLOOR * abs(loss):
                return moved, now
            length /= 2
        return None
