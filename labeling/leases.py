"""Who may decide which cell until when: no two doctors get the same one unless the study wants it.

The only writer of the table `leases`. Each claim is one statement inside a write transaction, so
that two doctors who ask in the same moment cannot both win.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    String,
    and_,
    delete,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from datasets.catalog import Cell
from datasets.db import Database, UtcDateTime, utc_now
from labeling.answers import is_not_undone
from labeling.records import IMPORTED, Candidate, Label, Lease

CellColumn = InstrumentedAttribute[str]

POOL_REASON = "next in the pool"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkItem:
    """A cell to decide, with the reason why it is asked."""

    cell_id: str
    reason: str
    score: float | None
    suggestion: str | None
    probability: float | None
    probe_id: str | None
    until: datetime | None
    """End of the lease; None where none was taken."""


def take(
    database: Database, annotator: str, limit: int, *, reads: int, lease_seconds: int,
    exclude: Collection[str] = (),
) -> list[WorkItem]:  # fmt: skip
    """Lease the next cells to an annotator.

    First the ones that he holds already, then the ranked candidates, then any cell of the pool that
    needs a reader.

    Args:
        database: The study's database.
        annotator: Who will decide.
        limit: At most this many.
        reads: How many doctors decide each cell.
        lease_seconds: How long the cells are his.
        exclude: Cells that his browser holds already; their leases are renewed.

    Returns:
        The cells in the order in which to show them; fewer than `limit` when the pool runs out.
    """
    now = utc_now()
    until = now + timedelta(seconds=lease_seconds)
    with database.write() as session:
        session.execute(delete(Lease).where(Lease.until <= now))
        held = _renew(session, annotator, until)
        wanted = limit - sum(item.cell_id not in exclude for item in held)
        if wanted > 0:
            wanted -= _claim(session, _candidates(annotator, reads, now, until, exclude, wanted))
        if wanted > 0:
            _claim(session, _pool(annotator, reads, now, until, exclude, wanted))
        leases = _held(session, annotator)
    order = {item.cell_id: place for place, item in enumerate(held)}
    items = [item for item in leases if item.cell_id not in exclude]
    return sorted(items, key=lambda item: order.get(item.cell_id, len(order)))[:limit]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A cell that a page would like to show, with what the label is to remember of that moment."""

    cell_id: str
    reason: str
    suggestion: str | None = None
    probability: float | None = None
    probe_id: str | None = None


def claim(
    database: Database, annotator: str, offers: Sequence[Offer], *, most: int, reads: int, lease_seconds: int
) -> list[str]:
    """Lease certain cells to an annotator: those of them that nobody else needs to keep.

    Args:
        database: The study's database.
        annotator: Who will decide.
        offers: Cells in the order in which to show them.
        most: Take at most this many of them.
        reads: How many doctors decide each cell.
        lease_seconds: How long the cells are his.

    Returns:
        The cells that are his now, in the given order.
    """
    now = utc_now()
    until = now + timedelta(seconds=lease_seconds)
    by_cell = {offer.cell_id: offer for offer in offers}
    with database.write() as session:
        session.execute(delete(Lease).where(Lease.until <= now))
        free = set(
            session.scalars(select(Cell.id).where(Cell.id.in_(by_cell), needs_reader(Cell.id, annotator, reads, now)))
        )
        mine = [cell_id for cell_id in by_cell if cell_id in free][:most]
        rows = [
            {"cell_id": o.cell_id, "annotator": annotator, "until": until, "reason": o.reason,
             "suggestion": o.suggestion, "suggestion_probability": o.probability, "probe_id": o.probe_id}
            for o in map(by_cell.__getitem__, mine)
        ]  # fmt: skip
        if rows:
            # A cell that is his already keeps what was offered first: he may have seen it.
            statement = insert(Lease).on_conflict_do_update(
                index_elements=["cell_id", "annotator"], set_={"until": until}
            )
            session.execute(statement, rows)
    return mine


def give_back(database: Database, annotator: str, cell_ids: Collection[str]) -> int:
    """Give back some cells of an annotator that he has not decided; return how many."""
    with database.write() as session:
        mine = delete(Lease).where(Lease.annotator == annotator, Lease.cell_id.in_(cell_ids)).returning(Lease.cell_id)
        return len(session.scalars(mine).all())


def release(database: Database, annotator: str) -> int:
    """Give back all cells of an annotator, for example when he signs out; return how many."""
    with database.write() as session:
        held = delete(Lease).where(Lease.annotator == annotator).returning(Lease.cell_id)
        return len(session.scalars(held).all())


def needs_reader(cell_id: CellColumn, annotator: str, reads: int, now: datetime) -> ColumnElement[bool]:
    """Return the SQL condition that a cell may be given to this annotator."""
    mine = select(Label.id).where(Label.cell_id == cell_id, Label.annotator == annotator, is_not_undone())
    done = select(func.count(Label.annotator.distinct())).where(
        Label.cell_id == cell_id, Label.annotator.not_in([IMPORTED, annotator]), is_not_undone()
    )
    held = select(func.count()).select_from(Lease).where(
        Lease.cell_id == cell_id, Lease.annotator != annotator, Lease.until > now
    )  # fmt: skip
    return and_(~mine.exists(), done.scalar_subquery() + held.scalar_subquery() < reads)


_COLUMNS = (
    "cell_id",
    "annotator",
    "until",
    "reason",
    "suggestion",
    "suggestion_probability",
    "probe_id",
)


def _candidates(
    annotator: str, reads: int, now: datetime, until: datetime, exclude: Collection[str], limit: int
) -> Any:
    return (
        select(
            Candidate.cell_id, literal(annotator), literal(until, UtcDateTime), Candidate.reason,
            Candidate.suggestion, Candidate.suggestion_probability, Candidate.probe_id,
        )
        .where(Candidate.cell_id.not_in(exclude))
        .where(needs_reader(Candidate.cell_id, annotator, reads, now))
        .where(_is_free(Candidate.cell_id, annotator))
        .order_by(Candidate.rank)
        .limit(limit)
    )  # fmt: skip


def _pool(annotator: str, reads: int, now: datetime, until: datetime, exclude: Collection[str], limit: int) -> Any:
    empty = (null().cast(String), null().cast(Float), null().cast(String))
    return (
        select(Cell.id, literal(annotator), literal(until, UtcDateTime), literal(POOL_REASON), *empty)
        .where(Cell.id.not_in(exclude), needs_reader(Cell.id, annotator, reads, now))
        .where(_is_free(Cell.id, annotator))
        # The id is a keyed hash: this order is as good as random, and the same for everyone.
        .order_by(Cell.id)
        .limit(limit)
    )


def _is_free(cell_id: CellColumn, annotator: str) -> ColumnElement[bool]:
    own = select(Lease.cell_id).where(Lease.cell_id == cell_id, Lease.annotator == annotator)
    return ~own.exists()


def _claim(session: Session, rows: Any) -> int:
    statement = insert(Lease).from_select(_COLUMNS, rows).returning(Lease.cell_id)
    return len(session.execute(statement).all())


def _renew(session: Session, annotator: str, until: datetime) -> list[WorkItem]:
    held = _held(session, annotator)
    session.execute(update(Lease).where(Lease.annotator == annotator).values(until=until))
    return held


def _held(session: Session, annotator: str) -> list[WorkItem]:
    rows = session.execute(
        select(Lease, Candidate.score, Candidate.rank)
        .outerjoin(Candidate, Candidate.cell_id == Lease.cell_id)
        .where(Lease.annotator == annotator)
        .order_by(Candidate.rank.is_(None), Candidate.rank, Lease.cell_id)
        .execution_options(populate_existing=True)
    )
    return [
        WorkItem(
            cell_id=lease.cell_id, reason=lease.reason, score=score, suggestion=lease.suggestion,
            probability=lease.suggestion_probability, probe_id=lease.probe_id, until=lease.until,
        )
        for lease, score, _rank in rows
    ]  # fmt: skip
