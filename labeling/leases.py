"""Who may decide which cell until when: no two doctors get the same one unless the study wants it.

The only writer of the table `leases`. Each claim is one statement inside a write transaction, so
that two doctors who ask in the same moment cannot both win.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.db import Database, UtcDateTime, insert_into, repeated, utc_now
from labeling import openings, returns
from labeling.mixture import CHECK_REASON, FOIL_REASON, GOLD, REPEAT, Shares
from labeling.openings import EVERYTHING, Focus, needs_reader
from labeling.records import Assignment, Candidate, Lease

POOL_ARM = "pool"


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

    @property
    def may_show(self) -> bool:
        """False where the answer measures something and must not have seen the suggestion."""
        return self.reason != CHECK_REASON


@repeated
def take(
    database: Database, annotator: str, limit: int, *, reads: int, lease_seconds: int,
    exclude: Collection[str] = (), shares: Shares | None = None, focus: Focus = EVERYTHING,
) -> list[WorkItem]:  # fmt: skip
    """Lease the next cells to an annotator.

    First the ones that he holds already, then his due repeats and cells with a verdict, then the
    ranked candidates, then any cell of the pool that needs a reader.

    Args:
        database: The study's database.
        annotator: Who will decide.
        limit: At most this many.
        reads: How many doctors decide each cell.
        lease_seconds: How long the cells are his.
        exclude: Cells that his browser holds already; their leases are renewed.
        shares: Parts of the queue; None: neither repeats nor cells with a verdict.
        focus: Of which slides and suggestions new cells are to be.

    Returns:
        The cells in the order in which to show them; fewer than `limit` when the pool runs out.
    """
    now = utc_now()
    until = now + timedelta(seconds=lease_seconds)
    with database.write() as session:
        session.execute(delete(Lease).where(Lease.until <= now))
        held = _renew(session, annotator, until)
        wanted = limit - sum(item.cell_id not in exclude for item in held)
        desk = _Claims(session, annotator, now, until)
        if shares is not None and wanted > 0:
            wanted -= desk.own(wanted, exclude, shares)
        if wanted > 0:
            wanted -= desk.claim(openings.candidates(annotator, reads, now, until, exclude, wanted, focus))
        if wanted > 0:
            desk.claim(openings.pool(annotator, reads, now, until, exclude, wanted, focus), arm=POOL_ARM)
        leases = _held(session, annotator)
    order = {item.cell_id: place for place, item in enumerate(held)}
    items = sorted(leases, key=lambda item: order.get(item.cell_id, len(order)))
    return [item for item in _scattered(items, len(held)) if item.cell_id not in exclude][:limit]


def _scattered(items: list[WorkItem], held: int) -> list[WorkItem]:
    """Put repeats and known cells in between: at the end of every batch they would be recognised."""
    ranked = [item for place, item in enumerate(items) if place < held or not _comes_back(item)]
    for item in items[held:]:
        if _comes_back(item):
            ranked.insert(held + zlib.crc32(item.cell_id.encode()) % (len(ranked) - held + 1), item)
    return ranked


def _comes_back(item: WorkItem) -> bool:
    return not item.may_show and item.suggestion is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A cell that a page would like to show, with what the label is to remember of that moment."""

    cell_id: str
    reason: str
    suggestion: str | None = None
    probability: float | None = None
    probe_id: str | None = None


@repeated
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
        held = set(session.scalars(select(Lease.cell_id).where(Lease.annotator == annotator)))
        new = [
            {"cell_id": cell_id, "annotator": annotator, "arm": POOL_ARM, "served_at": now}
            for cell_id in mine if cell_id not in held
        ]  # fmt: skip
        if new:
            session.execute(insert(Assignment), new)
        if rows:
            # A cell that is his already keeps what was offered first: he may have seen it.
            statement = insert_into(session, Lease).on_conflict_do_update(
                index_elements=["cell_id", "annotator"], set_={"until": until}
            )
            session.execute(statement, rows)
    return mine


def held(database: Database, annotator: str, cell_id: str) -> WorkItem | None:
    """Return what an annotator's lease of a cell says, None where he has none."""
    with database.read() as session:
        return next((item for item in _held(session, annotator) if item.cell_id == cell_id), None)


def held_for_checks(database: Database, annotator: str) -> set[str]:
    """Return the cells that an annotator is asked about without being helped."""
    with database.read() as session:
        return {item.cell_id for item in _held(session, annotator) if not item.may_show}


@repeated
def give_back(database: Database, annotator: str, cell_ids: Collection[str]) -> int:
    """Give back some cells of an annotator that he has not decided; return how many."""
    with database.write() as session:
        mine = delete(Lease).where(Lease.annotator == annotator, Lease.cell_id.in_(cell_ids)).returning(Lease.cell_id)
        return len(session.scalars(mine).all())


@dataclass(frozen=True, slots=True)
class _Claims:
    """Claims cells for one annotator inside one open write transaction."""

    session: Session
    annotator: str
    now: datetime
    until: datetime

    def claim(self, rows: Any, *, arm: str | None = None) -> int:
        """Lease what a query names, in one statement, and note for which purpose.

        Args:
            rows: A query with the columns of a lease.
            arm: The purpose; None: the candidate's.
        """
        statement = insert(Lease).from_select(openings.LEASE_COLUMNS, rows).returning(Lease.cell_id)
        cells = list(self.session.scalars(statement))
        if not cells:
            return 0
        purpose = literal(arm) if arm else Candidate.arm
        noted = select(Cell.id, literal(self.annotator), purpose, literal(self.now, UtcDateTime)).where(
            Cell.id.in_(cells)
        )
        if arm is None:
            noted = noted.join(Candidate, Candidate.cell_id == Cell.id)
        columns = ("cell_id", "annotator", "arm", "served_at")
        self.session.execute(insert(Assignment).from_select(columns, noted))
        return len(cells)

    def own(self, wanted: int, exclude: Collection[str], shares: Shares) -> int:
        """Lease the repeats and gold cells that are due; their suggestion stays unknown."""
        due = returns.due(self.session, self.annotator, wanted, shares)
        sources = (
            (REPEAT, returns.repeats(self.annotator, self.now, exclude)),
            (GOLD, returns.gold(self.annotator, exclude)),
        )
        claimed = 0
        for arm, cells in sources:
            count = min(due[arm], wanted - claimed)
            if count > 0:
                chosen = cells.limit(count).subquery()
                rows = select(
                    chosen.c.cell_id, literal(self.annotator), literal(self.until, UtcDateTime),
                    literal(CHECK_REASON), *openings.NOTHING,
                )  # fmt: skip
                claimed += self.claim(rows, arm=arm)
        return claimed


def _renew(session: Session, annotator: str, until: datetime) -> list[WorkItem]:
    held = _held(session, annotator)
    session.execute(update(Lease).where(Lease.annotator == annotator).values(until=until))
    return held


def _held(session: Session, annotator: str) -> list[WorkItem]:
    rows = session.execute(
        select(Lease, Candidate.score, Candidate.rank)
        .outerjoin(Candidate, Candidate.cell_id == Lease.cell_id)
        .where(Lease.annotator == annotator, Lease.reason != FOIL_REASON)
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
