"""Cells that are in a study twice: which pairs, whether their answers contradict each other, slides that are twice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets.db import Database
from labeling.adjudication import standing_verdicts
from labeling.answers import current_labels

_SLIDE_IS_TWICE = 3
"""So many pairs between the same two slides are no chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Double:
    """Two cells whose pictures are nearly the same."""

    first: str
    second: str
    likeness: float
    """1 for the same."""
    answers: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Categories that each has been given, the verdict alone where there is one; empty where unknown."""

    @property
    def contradicts(self) -> bool:
        """True when both have answers and no answer is common to them."""
        first, second = (set(answers) for answers in self.answers)
        return bool(first and second) and not first & second


def doubles(pairs: Sequence[Mapping[str, Any]], answers: Mapping[str, tuple[str, ...]]) -> list[Double]:
    """Return pairs once each, contradicting ones first, then the most alike.

    Args:
        pairs: As `slide_quality` reports them: found by the picture, by the vector, or by both.
        answers: Of cells, as of `answers_of`.
    """
    best: dict[tuple[str, str], float] = {}
    for pair in pairs:
        first, second = sorted((pair["first"], pair["second"]))
        best[first, second] = max(best.get((first, second), 0.0), pair["likeness"])
    found = [
        Double(first=a, second=b, likeness=likeness, answers=(answers.get(a, ()), answers.get(b, ())))
        for (a, b), likeness in best.items()
    ]
    return sorted(found, key=lambda double: (not double.contradicts, -double.likeness, double.first, double.second))


def answers_of(database: Database) -> dict[str, tuple[str, ...]]:
    """Return what each cell has been called: its verdict, else all labels that stand, also those of the data."""
    found: dict[str, set[str]] = {}
    with database.read() as session:
        for label in current_labels(session, include_imported=True):
            found.setdefault(label.cell_id, set()).add(label.category)
        for cell_id, verdict in standing_verdicts(session).items():
            found[cell_id] = {str(verdict.category)}
    return {cell_id: tuple(sorted(names)) for cell_id, names in found.items()}


def slides_twice(found: Sequence[Double], slide_of: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """Return slides that share several cells, as (slide, slide, pairs), most pairs first.

    Args:
        found: Pairs of cells.
        slide_of: Slide of each cell.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for double in found:
        first, second = sorted((slide_of.get(double.first, ""), slide_of.get(double.second, "")))
        if first and first != second:
            counts[first, second] += 1
    return [(a, b, count) for (a, b), count in counts.most_common() if count >= _SLIDE_IS_TWICE]
