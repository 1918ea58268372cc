"""What a doctor should see next, and why. The only writer of the table of candidates."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.db import Database, utc_now
from datasets.transactions import keep_others_out
from labeling import mixture, orders
from labeling.acquisition import Floats, Indices, PoolView, Scores, typical
from labeling.calibration import novelty
from labeling.leases import WorkItem
from labeling.mixture import CHECK_REASON, Dial, Shares
from labeling.openings import EVERYTHING, POOL_REASON, Focus, needs_reader
from labeling.records import Candidate

LENGTH = 256
"""Candidates kept ready: minutes of work for several doctors until the next refit."""
SECOND_READS = 2
"""Doctors that decide a shared cell."""
_TYPICAL = "typical of a group of cells"
_NOVEL = "unlike the cells labelled so far"
_COVERED = "stands for cells of which few are labelled so far"
_DIALLED = "the suggestion wavers, or the mix or order of cells that the study has set asks for it"
"""For uncertain, exchanged and preferred cells alike: whoever could tell them apart would know the suggestion."""
_SLIDE_FIRST = "its slide comes first in this study"
_FAR = 0.9
"""Novelty from which a cell is called unlike the others: farther out than nine of ten labelled cells are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """What the probe says of all cells."""

    probe_id: str
    classes: tuple[str, ...]
    probabilities: NDArray[np.floating]
    """What a doctor may be shown: shape (n, K), in the order of `classes`."""
    scores: Scores
    """Acquisition score, shape (n,), not negative."""

    def says(self, classes: Collection[str]) -> NDArray[np.bool_]:
        """Return which cells are suggested as one of some classes, shape (n,)."""
        wanted: NDArray[np.bool_] = np.isin(np.array(self.classes), list(classes))[self.probabilities.argmax(axis=1)]
        return wanted

    def abnormal(self, findings: Collection[str]) -> Floats:
        """Return the probability that each cell is a finding, shape (n,)."""
        columns = [place for place, name in enumerate(self.classes) if name in findings]
        found: Floats = self.probabilities[:, columns].sum(axis=1, dtype=np.float64)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The cells of an embedding store, by row."""

    cell_ids: Sequence[str]
    view: PoolView
    open_rows: Indices
    """Cells that need a reader, ascending, shape (rows,)."""
    known_rows: Indices
    """Shape (rows,): cells that are labelled or leased: near-duplicates of them are not asked."""
    waiting_rows: Indices
    """Shape (rows,): shared cells that one doctor has decided: every second place is theirs until a second one has."""
    second_rows: Indices
    """Shape (rows,): cells whose one reader the study's order names: a second doctor decides them too."""
    first_slides: NDArray[np.bool_] | None
    """Which cells lie on slides that come first, shape (n,); None: no slide does."""
    test_rows: Indices
    """Shape (rows,): cells of the blind test set that need a reader; none of them is among the others."""


def rank_typical(pool: Pool) -> list[Candidate]:
    """Rank a pool without two labelled classes: the most typical cell of each cluster first."""
    rows = [int(row) for row in typical(pool.view, pool.open_rows, LENGTH // 4, seed=0)]
    if pool.first_slides is not None:
        ahead = typical(pool.view, pool.open_rows[pool.first_slides[pool.open_rows]], LENGTH // 4, seed=0)
        rows = list(dict.fromkeys([*ahead.tolist(), *rows]))
    return [
        Candidate(
            rank=rank, cell_id=pool.cell_ids[row], arm=mixture.TYPICAL, reads=1, reason=_TYPICAL, score=1 / (rank + 1)
        )
        for rank, row in enumerate(rows)
    ]


def rank_mixed(
    pool: Pool, guess: Guess, shares: Shares, *, seed: int, dial: Dial | None = None,
    first_classes: Collection[str] = (), near_best: float = 0.0,
) -> list[Candidate]:  # fmt: skip
    """Rank a pool by the study's mixture of uncertain, novel, random and shared cells.

    Args:
        pool: All cells.
        guess: The probe's probabilities and scores.
        shares: Parts of the mixture.
        seed: Source of chance; the label count, so that equal labels give equal lists.
        dial: The wanted share of probably abnormal cells; None: as the rules find them.
        first_classes: Classes whose suggested cells come first.
        near_best: Of the rule, see `acquisition.NEAR_BEST`.
    """
    is_fresh = np.ones(len(pool.cell_ids), bool)  # a set operation would sort the whole pool: .6 s of a million cells
    is_fresh[pool.waiting_rows] = is_fresh[pool.second_rows] = False
    fresh = pool.open_rows[is_fresh[pool.open_rows]]
    first = mixture.First(on_slides=pool.first_slides, suggested=guess.says(first_classes) if first_classes else None)
    parts = shares.ranked() | ({mixture.TEST: shares.test} if len(pool.test_rows) else {})
    known = pool.view.units(pool.known_rows)
    queue = mixture.mix(
        pool.view, guess.scores, fresh, known, parts=parts, length=LENGTH,
        generator=np.random.default_rng(seed), test_rows=pool.test_rows, dial=dial, first=first,
        near_best=near_best,
    )  # fmt: skip
    covering = np.array([row for row, arm in queue if arm == mixture.NOVEL], np.intp)
    far = set(covering[novelty(pool.view.units(covering), known) >= _FAR].tolist()) if len(covering) else set()
    is_dialled = dial is not None or bool(first_classes)
    reasons = [_reason(arm, pool, guess, row, is_far=row in far, is_dialled=is_dialled) for row, arm in queue]
    waiting = [(int(row), mixture.SHARED) for row in pool.waiting_rows]
    waiting += [(int(row), mixture.SECOND) for row in pool.second_rows[:LENGTH]]
    again = [(place, CHECK_REASON) for place in waiting]
    # Second reads must not stop the work on new cells, however many wait for a doctor who comes late.
    both = mixture.in_turn(again, list(zip(queue, reasons, strict=True)))
    return [_candidate(rank, row, why, arm, pool, guess) for rank, ((row, arm), why) in enumerate(both)]


def _candidate(rank: int, row: int, reason: str, arm: str, pool: Pool, guess: Guess) -> Candidate:
    best = int(guess.probabilities[row].argmax())
    is_again = arm in (mixture.SHARED, mixture.SECOND)
    return Candidate(
        rank=rank, cell_id=pool.cell_ids[row], arm=arm, reads=SECOND_READS if is_again else 1,
        reason=reason, score=float(guess.scores[row]), suggestion=guess.classes[best],
        suggestion_probability=float(guess.probabilities[row, best]), probe_id=guess.probe_id,
    )  # fmt: skip


def _reason(arm: str, pool: Pool, guess: Guess, row: int, *, is_far: bool, is_dialled: bool) -> str:
    """Say in the doctor's words why a cell is asked; blind arms share one sentence."""
    if arm in mixture.BLIND:
        return CHECK_REASON
    if arm == mixture.NOVEL:
        return _NOVEL if is_far else _COVERED
    if is_dialled:
        return _DIALLED
    if pool.first_slides is not None and pool.first_slides[row]:
        return _SLIDE_FIRST
    second, first = np.argsort(guess.probabilities[row], kind="stable")[-2:]
    return f"{guess.classes[first]} or {guess.classes[second]} is unclear"


def publish(session: Session, candidates: Sequence[Candidate]) -> None:
    """Replace the worklist inside an open write transaction; leases that are out stay."""
    keep_others_out(session)  # a claim notes on which ground the list chose the cell
    session.execute(delete(Candidate))
    if candidates:
        columns = [column.key for column in Candidate.__table__.columns]
        session.execute(insert(Candidate), [{key: getattr(row, key) for key in columns} for row in candidates])


def peek(database: Database, annotator: str, limit: int, *, reads: int, focus: Focus = EVERYTHING) -> list[WorkItem]:
    """Return what an annotator would get next, without a lease; known and repeated cells stay hidden.

    Args:
        database: The study.
        annotator: For whom.
        limit: Most cells.
        reads: How many doctors decide each cell.
        focus: What he has asked for.
    """
    now = utc_now()
    with database.read() as session:
        focus = focus.under(orders.current(session), annotator)
        ranked = session.scalars(
            select(Candidate)
            .where(focus.of_candidates(), needs_reader(Candidate.cell_id, annotator, reads, now, Candidate.reads))
            .order_by(Candidate.rank)
            .limit(limit)
        ).all()
        items = [_item(row.cell_id, row.reason, row) for row in ranked]
        known = {item.cell_id for item in items}
        pool = session.scalars(
            select(Cell.id)
            .where(focus.of_cells(), needs_reader(Cell.id, annotator, reads, now), Cell.id.not_in(known))
            .order_by(Cell.id)
            .limit(limit - len(items))
        ).all()
    return [*items, *(_item(cell_id, POOL_REASON, None) for cell_id in pool)]


def _item(cell_id: str, reason: str, row: Candidate | None) -> WorkItem:
    return WorkItem(
        cell_id=cell_id, reason=reason, score=row.score if row else None,
        suggestion=row.suggestion if row else None,
        probability=row.suggestion_probability if row else None,
        probe_id=row.probe_id if row else None, until=None,
    )  # fmt: skip
