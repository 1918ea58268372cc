"""How far two annotators agree beyond chance. Pure functions of lists; always with its interval."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 1000
_SEED = 2014


@dataclass(frozen=True, kw_only=True, slots=True)
class PairAgreement:
    """Two annotators on the cells that both answered."""

    first: str
    second: str
    cells: int
    same: float
    """Share of the cells with the same answer, 0 to 1."""
    kappa: float | None
    """Cohen's kappa (Educ Psychol Meas 1960); None where chance alone explains everything or nothing is left."""
    low: float | None
    high: float | None
    """95 % interval of kappa, by resampling the cells."""


def pairs(answers: Mapping[str, Mapping[str, str]]) -> list[PairAgreement]:
    """Compare every two annotators, most common cells first.

    Args:
        answers: Category by cell, by annotator.
    """
    found = []
    for first, second in itertools.combinations(sorted(answers), 2):
        common = sorted(answers[first].keys() & answers[second].keys())
        if common:
            found.append(_compare(first, second, [(answers[first][c], answers[second][c]) for c in common]))
    return sorted(found, key=lambda pair: -pair.cells)


def _compare(first: str, second: str, answers: Sequence[tuple[str, str]]) -> PairAgreement:
    categories = sorted({category for pair in answers for category in pair})
    place = {category: number for number, category in enumerate(categories)}
    codes = np.array([(place[a], place[b]) for a, b in answers])
    generator = np.random.default_rng(_SEED)
    draws = generator.integers(0, len(codes), (_RESAMPLES, len(codes)))
    resampled = [kappa for draw in draws if (kappa := _kappa(codes[draw], len(categories))) is not None]
    low, high = np.percentile(resampled, [2.5, 97.5]) if len(resampled) > _RESAMPLES // 2 else (None, None)
    return PairAgreement(
        first=first, second=second, cells=len(codes), same=float((codes[:, 0] == codes[:, 1]).mean()),
        kappa=_kappa(codes, len(categories)), low=None if low is None else float(low),
        high=None if high is None else float(high),
    )  # fmt: skip


def _kappa(codes: NDArray[np.intp], num_categories: int) -> float | None:
    """Return Cohen's kappa of codes of shape (n, 2), None where chance would agree always."""
    shares = [np.bincount(codes[:, side], minlength=num_categories) / len(codes) for side in (0, 1)]
    chance = float(shares[0] @ shares[1])
    observed = float((codes[:, 0] == codes[:, 1]).mean())
    return None if chance >= 1 else (observed - chance) / (1 - chance)
