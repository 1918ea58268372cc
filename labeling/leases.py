"""Who may decide which cell until when: no two doctors get the same one unless the study wants it.

With `claims` the only writer of the table `leases`. Two doctors who ask in the same moment cannot both win: writers
take turns, or (`Database.write_own`) lock the cells.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import delete, func, insert, select, tuple_, update
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.db import Database, repeated, utc_now
from datasets.transactions import insert_into
from labeling import orders
from labeling.claims import POOL_ARM, Ask, Claims
from labeling.mixture import CHECK_REASON, FOIL_REASON, Shares
from labeling.openings import EVERYTHING, WHO, Focus, needs_reader
from labeling.records import Assignment, Candidate, Lease


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
        focus: Of which slides and suggestions new cells are to be; the study's order may leave less.

    Returns:
        The cells in the order in which to show them; fewer than `limit` when the pool runs out.
    """
    now = utc_now()
    with database.read() as session:
        focus = focus.under(orders.current(session), annotator)
        ask = Ask(annotator, reads, now, now + timedelta(seconds=lease_seconds), frozenset(exclude), focus)
        # What takes long is done here, while others write: the turn to write only looks at what was found.
        seen = ask.look(session, limit, shares)
    for alone in (False, True):
        with database.write_own(annotator, alone=alone) as session:
            _end(session, now)
            before = set(session.scalars(ask.held()))
            # What he wants no more is neither shown nor renewed; another window of his may still show it.
            aside = set(session.scalars(select(Lease.cell_id).where(Lease.annotator == annotator, ~ask.fits())))
            session.execute(update(Lease).where(Lease.annotator == annotator, ask.fits()).values(until=ask.until))
            wanted = limit - len(before - ask.exclude)
            got = Claims(session, ask).take(wanted, seen)
        # Others may have locked all that was seen and leave some of it: who gets nothing waits for them.
        if got or wanted <= 0 or not seen.is_any:
            break
    with database.read() as session:
        found = [item for item in _held(session, annotator) if item.cell_id not in aside]
    items = sorted(found, key=lambda item: item.cell_id not in before)
    return [item for item in _scattered(items, len(before)) if item.cell_id not in exclude][:limit]


def _scattered(items: list[WorkItem], held: int) -> list[WorkItem]:
    """Put repeats and known cells in between: at the end of every batch they would be recognised."""
    ranked = [item for place, item in enumerate(items) if place < held or not _comes_back(item)]
    for item in items[held:]:
        if _comes_back(item):
            ranked.insert(held + zlib.crc32(item.cell_id.encode()) % (len(ranked) - held + 1), item)
    return ranked


def _comes_back(item: WorkItem) -> bool:
    return not item.may_show and item.suggestion is None


def last_end(lease_seconds: int) -> datetime:
    """Return when the leases end at the latest that were taken or renewed up to now, each for so many seconds."""
    return utc_now() + timedelta(seconds=lease_seconds)


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
    with database.write_own(annotator, alone=True) as session:
        _end(session, now)
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


def held(database: Database, annotator: str) -> dict[str, WorkItem]:
    """Return what an annotator's leases say, by cell."""
    with database.read() as session:
        return {item.cell_id: item for item in _held(session, annotator)}


def held_for_checks(database: Database, annotator: str) -> set[str]:
    """Return the cells that an annotator is asked about without being helped."""
    with database.read() as session:
        return {item.cell_id for item in _held(session, annotator) if not item.may_show}


@repeated
def give_back(
    database: Database, annotator: str, cell_ids: Collection[str], *, unseen: bool = False,
    until: datetime | None = None,
) -> int:  # fmt: skip
    """Give back some cells of an annotator that he has not decided; return how many.

    Args:
        database: The study's database.
        annotator: Whose leases end.
        cell_ids: The cells.
        unseen: They were never on his screen: that they were handed out is forgotten, so that neither his shares of
            repeats and known cells nor the control arm count them.
        until: Leases that end later stay: they were renewed for another page, which may show these cells now. Its
            answer would forget why it was asked and what had been suggested. None: they all end.
    """
    mine = [Lease.annotator == annotator, Lease.cell_id.in_(cell_ids)]
    if unseen:
        mine.append(Lease.reason != FOIL_REASON)
    if until is not None:
        mine.append(Lease.until <= until)
    with database.write_own(annotator) as session:
        given = session.scalars(delete(Lease).where(*mine).returning(Lease.cell_id)).all()
        if unseen and given:
            of_these = (Assignment.annotator == annotator, Assignment.cell_id.in_(given))
            newest = select(func.max(Assignment.id)).where(*of_these).group_by(Assignment.cell_id)
            session.execute(delete(Assignment).where(Assignment.id.in_(list(session.scalars(newest)))))
    return len(given)


def _end(session: Session, now: datetime) -> None:
    """End the leases that have run out, but for those that their holders are just renewing."""
    over = select(Lease.cell_id, Lease.annotator).where(Lease.until <= now).with_for_update(skip_locked=True)
    session.execute(
        delete(Lease).where(tuple_(Lease.cell_id, Lease.annotator).in_(over)),
        execution_options={"synchronize_session": False},
    )


@cache
def _of_annotator() -> Any:
    return (
        select(Lease, Candidate.score, Candidate.rank)
        .outerjoin(Candidate, Candidate.cell_id == Lease.cell_id)
        .where(Lease.annotator == WHO, Lease.reason != FOIL_REASON)
        .order_by(Candidate.rank.is_(None), Candidate.rank, Lease.cell_id)
        .execution_options(populate_existing=True)
    )


def _held(session: Session, annotator: str) -> list[WorkItem]:
    rows = session.execute(_of_annotator(), {"who": annotator})
    return [
        WorkItem(
            cell_id=lease.cell_id, reason=lease.reason, score=score, suggestion=lease.suggestion,
            probability=lease.suggestion_probability, probe_id=lease.probe_id, until=lease.until,
        )
        for lease, score, _rank in rows
    ]  # fmt: skip
