"""The doctor's next hundred cells: how many are uncertain, novel, random, shared, known or repeated.

Pure functions of arrays. The random cells are the control arm: what the suggestions are worth, and
whether active choice is worth its trouble, is measured on them inside the study.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from labeling.acquisition import Indices, PoolView, Scores, coverage, representative
from labeling.pool import Singles

Item = TypeVar("Item")

UNCERTAIN, NOVEL, RANDOM, SHARED, GOLD, REPEAT = "uncertain", "novel", "random", "shared", "gold", "repeat"
TEST = "test"
"""The arm of the blind test set, which no probe ever learns from."""
SECOND = "second"
"""The arm of cells whose first reader the study's order names, for a second one. No sample of chance."""
DIAL = "dial"
"""The arm of cells that stand in the queue for the study's share of abnormal ones."""
TYPICAL = "typical"
"""The arm of the first cells of a study, before the probe knows two classes."""
RANKED = (UNCERTAIN, NOVEL, RANDOM, SHARED)
"""Arms that are the same for all doctors; gold cells and repeats depend on what a doctor has answered."""
BLIND = frozenset({RANDOM, SHARED, SECOND, GOLD, REPEAT, TEST})
"""Arms that measure something: their answers must not have seen a suggestion."""

FOIL = "foil"
"""The arm of known cells that are mixed into a gallery page."""
FOIL_REASON = "a known cell among the others: it shows whether the sweep was careful"
"""Of a label, it also says that the label counts for that alone."""
CHECK_REASON = "a check cell: keeps the figures of this study honest"
"""One line for every blind arm: a doctor who knows a repeat from a new cell repeats himself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Parts of each kind of cell in what a doctor is given; they need not add up to a hundred.

    Raises:
        ValueError: A part below zero, or nothing that the probe can rank.
    """

    uncertain: int = 60
    novel: int = 10
    random: int = 10
    shared: int = 10
    """Cells that a second doctor decides as well."""
    gold: int = 5
    """Cells with a verdict, for a doctor's own calibration."""
    repeat: int = 5
    """Cells that the same doctor has decided long ago, for his own consistency."""
    test: int = 5
    """Cells of the blind test set, where the study has one."""

    def __post_init__(self) -> None:
        parts = asdict(self)
        low = sorted(name for name, part in parts.items() if part < 0)
        if low:
            raise ValueError(f"{low[0]} = {parts[low[0]]}: a share is zero or more.")
        if not sum(parts[arm] for arm in RANKED):
            raise ValueError("all of uncertain, novel, random and shared are 0: nothing is left to ask.")

    def of(self, arm: str) -> float:
        """Return an arm's share of everything outside the blind test set, 0 to 1."""
        parts = asdict(self) | {TEST: 0}
        return float(parts[arm] / sum(parts.values()))

    def ranked(self) -> dict[str, int]:
        """Return the parts of the arms that all doctors share."""
        parts = asdict(self)
        return {arm: parts[arm] for arm in RANKED}


def interleave(parts: Mapping[str, int], length: int) -> list[str]:
    """Spread arms evenly over a queue: at every place each arm is within one cell of its share."""
    total = sum(parts.values())
    credit = dict.fromkeys(parts, 0)
    order = []
    for _ in range(length if total else 0):
        for arm, part in parts.items():
            credit[arm] += part
        best = max(credit, key=credit.__getitem__)
        credit[best] -= total
        order.append(best)
    return order


@dataclass(frozen=True, kw_only=True, slots=True)
class Dial:
    """How many cells of a queue are to be probably abnormal.

    Readers miss more where findings are rare, and call more where they are frequent: what a doctor
    expects is a choice of the study, not a by-product of the rule that looks for rare cells.
    """

    percent: int
    """Of the queue, 1 to 100."""
    abnormal: NDArray[np.floating]
    """Probability that each row is a finding, shape (n,); from 0.5 it is probably abnormal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    """What a study's order puts first among the cells that the rules choose."""

    on_slides: NDArray[np.bool_] | None = None
    """Rows of the slides that come first, shape (n,); None: no slide does."""
    suggested: NDArray[np.bool_] | None = None
    """Rows that are suggested as a class that comes first, shape (n,); None: no class does.

    They get every second uncertain place at most: a queue of nothing else would tell the suggestion.
    """

    def stages(self) -> tuple[NDArray[np.bool_] | None, ...]:
        """Return which rows to choose among, shape (n,), one after the other; None: all."""
        return (None,) if self.on_slides is None else (self.on_slides, None)


def mix(
    view: PoolView, scores: Scores, open_rows: Indices, known: Singles, *,
    parts: Mapping[str, int], length: int, generator: np.random.Generator, test_rows: Indices | None = None,
    dial: Dial | None = None, first: First | None = None, near_best: float = 0.0,
) -> list[tuple[int, str]]:  # fmt: skip
    """Fill a queue: rows with their arms, first the first to ask. No row stands twice.

    Args:
        view: The pool.
        scores: Acquisition score of every row, shape (n,), not negative.
        open_rows: Rows that need a reader, ascending.
        known: Unit vectors of labelled and leased cells, shape (m, d).
        parts: Parts of the ranked arms.
        length: Length of the queue; shorter where the pool is.
        generator: The only source of chance.
        test_rows: Rows of the blind test set that need a reader, none of them in `open_rows`; drawn by chance.
        dial: The wanted share of probably abnormal cells; None: as the rules find them.
        first: What comes first among the uncertain cells; None: nothing does.
        near_best: Share of the best score from which a cell may be the next uncertain one, `NEAR_BEST` of the rule.
    """
    first = first or First()
    tests = np.empty(0, np.intp) if test_rows is None else test_rows
    order = interleave(parts, min(length, len(open_rows) + len(tests)))
    taken = np.zeros(len(scores), bool)
    # A stream of its own: how far the test set is labelled moves no other choice.
    drawn = np.random.default_rng(len(tests)).permutation(tests) if len(tests) else tests
    picks: dict[str, list[int]] = {TEST: drawn[: order.count(TEST)].tolist()}
    chance = (
        generator.permutation(open_rows) if len(open_rows) < 4 * length else _draw(generator, open_rows, 4 * length)
    )
    for arm in (RANDOM, SHARED):
        # Chance first: a sample of what the other rules have left over would not be random.
        picks[arm] = _keep([int(row) for row in chance], order.count(arm), taken)
    left = np.delete(open_rows, np.searchsorted(open_rows, [*picks[RANDOM], *picks[SHARED]]))
    far = coverage(view, left, known, order.count(NOVEL), generator)
    picks[NOVEL] = _keep(far.tolist(), order.count(NOVEL), taken)
    is_open = np.zeros(len(scores), bool)
    is_open[open_rows] = True
    eligible = np.where(is_open & ~taken, scores, scores.dtype.type(-1))
    near = np.concatenate([known, view.units(far)]) if len(far) else known
    unclear = _unclear(eligible, view, order.count(UNCERTAIN), near, first, near_best)
    picks[UNCERTAIN] = _keep(unclear, length, taken)
    queue = [(picks[arm].pop(0), arm) for arm in order if picks[arm]]
    return queue if dial is None else _dialled(queue, dial, view, eligible, taken, near_best)


def _unclear(
    eligible: Scores, view: PoolView, count: int, known: Singles, first: First, near_best: float
) -> list[int]:  # fmt: skip
    if first.suggested is None:
        return _staged(eligible, view, count, known, first, near_best)
    wanted = np.where(first.suggested, eligible, eligible.dtype.type(-1))
    named = _staged(wanted, view, count // 2, known, first, near_best)
    left = eligible.copy()
    left[named] = -1
    near = np.concatenate([known, view.units(np.array(named, np.intp))]) if named else known
    return in_turn(_staged(left, view, count - len(named), near, first, near_best), named)


def in_turn(ones: list[Item], others: list[Item]) -> list[Item]:
    """Take from both in turn while both last, then what is left of one."""
    pairs = [item for pair in zip(ones, others, strict=False) for item in pair]
    return [*pairs, *ones[len(others) :], *others[len(ones) :]]


def _staged(
    eligible: Scores, view: PoolView, count: int, known: Singles, first: First, near_best: float
) -> list[int]:  # fmt: skip
    found: list[int] = []
    near = known
    for stage in first.stages():
        among = eligible if stage is None else np.where(stage, eligible, eligible.dtype.type(-1))
        if found:
            among = among.copy()
            among[found] = -1
        if count > len(found):
            part = representative(among, view, count - len(found), near, near_best)
            near = np.concatenate([near, view.units(part)]) if len(part) else near
            found += part.tolist()
    return found


def _dialled(
    queue: list[tuple[int, str]], dial: Dial, view: PoolView, eligible: Scores, taken: NDArray[np.bool_],
    near_best: float,
) -> list[tuple[int, str]]:  # fmt: skip
    """Exchange uncertain cells of a queue until the wanted share of it is probably abnormal.

    The arms that measure something keep their cells: theirs must be as chance brings them.
    """
    is_abnormal = dial.abnormal >= 0.5
    missing = round(len(queue) * dial.percent / 100) - sum(bool(is_abnormal[row]) for row, _ in queue)
    wants_abnormal = missing > 0
    places = [
        place for place, (row, arm) in enumerate(queue) if arm == UNCERTAIN and is_abnormal[row] != wants_abnormal
    ]
    # The last of the queue are the least uncertain: they go first.
    places = places[::-1][: abs(missing)]
    left = np.where(taken | (is_abnormal != wants_abnormal), eligible.dtype.type(-1), eligible)
    known = view.units(np.array([row for row, _ in queue], np.intp))
    others = representative(left, view, len(places), known, near_best)
    changed = list(queue)
    for place, row in zip(sorted(places), others.tolist(), strict=False):
        changed[place] = (row, DIAL)
    return changed


def _draw(generator: np.random.Generator, rows: Indices, count: int) -> NDArray[np.intp]:
    """Draw distinct rows without permuting a pool of millions."""
    places = np.unique(generator.integers(len(rows), size=2 * count))
    drawn: NDArray[np.intp] = rows[generator.permutation(places)[:count]]
    return drawn


def _keep(rows: list[int], count: int, taken: NDArray[np.bool_]) -> list[int]:
    kept: list[int] = []
    for row in rows:
        if len(kept) == count:
            break
        if not taken[row]:
            taken[row] = True
            kept.append(row)
    return kept
