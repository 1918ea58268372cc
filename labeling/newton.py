"""The optimum of a multinomial logistic regression by truncated Newton steps.

Each step is sought by conjugate gradients, as exactly as the gradient at hand is worth (Nocedal and Wright 2006,
Numerical Optimization, chapter 7.1). Where rows are fewer than features the weights are sums of the rows, in whose span
the optimum lies: then an inner step costs one product with the rows' Gram matrix.
"""

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.pool import Floats

Reals = NDArray[np.floating]
_FLOOR = 1e-13
"""Of the loss: a change below is rounding."""
_MOST_HALVINGS = 40
_MOST_INNER = 200
"""Steps of the search for one step: of rows whose numbers differ by millions, rounding lets it not end."""
_MANY = 1_000
"""Rows from which inner steps are float32: that halves their time, and changes the way and not the end."""
_PLENTY, _PLENTY_EACH = 4_000, 4
"""Rows, in all and for each number of theirs, from which the axes of their spread are looked for: of fewer that costs
more than it saves."""


class _Space:
    """Where weights are sought: among the sums of the rows z, shape (n, d), or among all of d numbers."""

    def __init__(self, z: Reals, num_classes: int) -> None:
        self.z, self.num_classes = z, num_classes
        self.gram: Reals | None = z @ z.T if len(z) < z.shape[1] else None
        self.map: Reals = np.ascontiguousarray(z.T) if self.gram is None else self.gram
        self.axes: Reals | None = None
        self.spread: Reals | None = None

    def rounded(self, weights: Floats) -> "_Space":
        """Return the same in float32; of many rows, weights (n,), with the axes along which they spread and how far."""
        other = copy.copy(self)
        other.z, other.map = self.z.astype(np.float32), self.map.astype(np.float32)
        other.gram = None if self.gram is None else other.map
        if len(self.z) >= max(_PLENTY, _PLENTY_EACH * self.z.shape[1]):
            shares = (weights / weights.sum()).astype(np.float32)
            spread, other.axes = np.linalg.eigh((other.map * shares) @ other.z)
            other.spread = np.maximum(spread, 0)  # rounding puts some below: steps would go uphill
        return other

    def point(self, coefs: Reals | float, intercepts: Reals | float) -> "_Point":
        """Return a point with its logits."""
        point = _Point.zero(self)
        point.coefs[:], point.intercepts[:] = coefs, intercepts
        np.matmul(point.coefs, self.map, out=point.logits)
        return point

    def weights(self, point: "_Point") -> Reals:
        """Return weights and intercepts, shape (K, d + 1)."""
        weights = point.coefs if self.gram is None else point.coefs @ self.z
        return np.column_stack([weights, point.intercepts])

    def gradient(self, errors: Reals, shrunk: Reals) -> "_Point":
        """Return the gradient of errors of the logits, shape (K, n), and of the penalty, as coefficients.

        Its own logits are there in a Gram matrix alone, where `dot` needs them: they are a product with all rows.
        """
        point = _Point.zero(self)
        np.add(errors if self.gram is not None else errors @ self.z, shrunk, out=point.coefs)
        point.intercepts[:] = errors.sum(axis=1)
        if self.gram is not None:
            np.matmul(point.coefs, self.map, out=point.logits)
        return point

    def turned(self, rest: "_Point", bends: Reals, shrink: np.floating) -> "_Point":
        """Return a rest of the gradient with its logits, divided by how the loss bends there where axes are known.

        Args:
            rest: What is left of the gradient.
            bends: Of the loss by each class's intercept, shape (K,).
            shrink: Of the penalty.
        """
        if self.gram is not None:
            return rest
        if self.axes is None or self.spread is None:
            return self.point(rest.coefs, rest.intercepts)
        coefs = ((rest.coefs @ self.axes) / (np.outer(bends, self.spread) + shrink)) @ self.axes.T
        return self.point(coefs, rest.intercepts / bends)

    def dot(self, one: "_Point", other: "_Point") -> float:
        """Return the product of two sets of weights and intercepts."""
        return self.penalty(one, other) + float(one.intercepts @ other.intercepts)

    def penalty(self, one: "_Point", other: "_Point") -> float:
        """Return the product of two sets of weights."""
        return float(np.vdot(one.coefs, other.coefs if self.gram is None else other.logits))


@dataclass(slots=True)
class _Point:
    """Weights with what they give: one buffer, so that a step is one addition."""

    all: Reals
    coefs: Reals
    """Shape (K, rows or features)."""
    logits: Reals
    """What they add to the logits of the rows, without the intercepts, shape (K, n)."""
    intercepts: Reals
    """Shape (K,)."""

    @classmethod
    def zero(cls, space: _Space) -> "_Point":
        rows, columns = space.map.shape
        k = space.num_classes
        buffer = np.zeros(k * (rows + columns + 1), space.z.dtype)
        one, two = k * rows, k * (rows + columns)
        return cls(buffer, buffer[:one].reshape(k, rows), buffer[one:two].reshape(k, columns), buffer[two:])

    def total(self) -> Reals:
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
        rough = space if len(self.z) < _MANY else space.rounded(self.weights)
        point = self._start(space, start)
        loss, goal, first, steps = self._loss(space, point), tol * self.weights.sum(), 0.0, 0
        while steps < most_steps:
            shares, errors = self._errors(point.total())
            gradient = space.gradient(errors, point.coefs / self.strength)
            length = float(np.sqrt(space.dot(gradient, gradient)))
            first = first or length
            if length <= goal:
                break
            way = self._direction(rough, gradient.all / length, shares, min(0.25, np.sqrt(length / first)))
            way.all *= length
            direction = way if rough is space else space.point(way.coefs, way.intercepts)
            moved = self._move(space, point, loss, direction, space.dot(gradient, direction))
            if moved is None:
                break
            point, loss = moved
            steps += 1
        return np.asarray(space.weights(point), np.float64), steps

    def _start(self, space: _Space, start: Floats | None) -> _Point:
        zero = _Point.zero(space)
        if start is None:
            return zero
        coefs: Reals = start[:, :-1]
        if space.gram is not None:
            # At an optimum the weights are so many times the rows: near it, a good beginning for other rows.
            coefs = -self.strength * self._errors(coefs @ self.z.T + start[:, -1:])[1]
        point = space.point(coefs, start[:, -1])
        return point if self._loss(space, point) < self._loss(space, zero) else zero

    def _errors(self, logits: Reals) -> tuple[Reals, Reals]:
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

    def _direction(self, space: _Space, gradient: Reals, shares: Reals, share: float) -> _Point:
        """Solve for the step to a gradient of length 1 (all of a point), until less than a share of it is left."""
        kind = space.z.dtype.type
        step, rest, way = _Point.zero(space), _Point.zero(space), _Point.zero(space)
        rest.all[:] = -gradient
        shares, weights, shrink = shares.astype(kind), self.weights.astype(kind), kind(1 / self.strength)
        weighted = shares * weights
        bends = np.maximum((weighted * (1 - shares)).sum(axis=1), shrink)
        goal = share**2 * space.dot(rest, rest)
        turned = space.turned(rest, bends, shrink)
        way.all[:], left = turned.all, space.dot(rest, turned)
        for _ in range(min(_MOST_INNER, way.all.size)):
            change = weighted * way.total()
            change -= shares * change.sum(axis=0)
            bent = space.gradient(change, way.coefs * shrink)
            length = kind(left / space.dot(way, bent))
            step.all += length * way.all
            bent.all *= length
            rest.all -= bent.all
            if space.dot(rest, rest) <= goal:
                break
            turned = space.turned(rest, bends, shrink)
            before, left = left, space.dot(rest, turned)
            way.all *= kind(left / before)
            way.all += turned.all
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
