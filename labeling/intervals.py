"""Figures of agreement with what they rest on: pairs, cells, and an interval over draws of the cells."""

from dataclasses import dataclass

import numpy as np

from labeling.agreement import MISSING, Codes, Figure, Floats, total

_DRAWS = 1000
_NUMBERS_AT_ONCE = 2_000_000
"""Numbers of some draws that are held at once: 16 MB."""


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


def with_intervals(ratings: Codes, figure: Figure, *, seed: int = 0, draws: int = _DRAWS) -> list[Agreement]:
    """Compute figures, each with a 95 % percentile interval over cells.

    Args:
        ratings: Shape (doctors, cells), `MISSING` where not decided.
        figure: What is made of such ratings.
        seed: Source of chance of the draws.
        draws: How often the cells are drawn again.
    """
    readers = (ratings != MISSING).sum(axis=0)
    shared = np.flatnonzero(readers >= 2)
    pairs = int((readers[shared] * (readers[shared] - 1) // 2).sum())
    sums = figure.sums(ratings[:, shared])
    values = figure.of(total(sums))[0]
    found, generator = np.full((draws, len(values)), np.nan), np.random.default_rng(seed)
    some = max(1, _NUMBERS_AT_ONCE // max(sum(sums.shape), 1))
    for start in range(0, draws if len(shared) else 0, some):
        number = min(some, draws - start)
        found[start : start + number] = figure.of(_draws(generator, len(shared), number) @ sums)
    return [_told(value, drawn, pairs, len(shared)) for value, drawn in zip(values, found.T, strict=True)]


def _told(value: float, drawn: Floats, pairs: int, cells: int) -> Agreement:
    if np.isnan(value):
        return Agreement(value=None, low=None, high=None, pairs=pairs, cells=cells)
    low, high = np.quantile(drawn[~np.isnan(drawn)], [0.025, 0.975])
    return Agreement(value=float(value), low=float(low), high=float(high), pairs=pairs, cells=cells)


def _draws(generator: np.random.Generator, cells: int, number: int) -> Floats:
    """Return how often each cell is in each draw of as many cells, shape (number, cells)."""
    places = generator.integers(cells, size=(number, cells)) + cells * np.arange(number)[:, None]
    return np.bincount(places.ravel(), minlength=number * cells).reshape(number, cells).astype(np.float64)
