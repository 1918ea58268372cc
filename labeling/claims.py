"""Claiming cells: what a doctor may get is looked for while others write, then leased in a short turn to write.

With PostgreSQL many claim at once. The cells are locked first (SKIP LOCKED passes over those that others are just
taking) and leased by a second statement. One statement for both would give cells twice: it counts readers in other
tables as they were when it began, and a lock that somebody gave free since then does not make it count anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import String, bindparam, insert, or_, select
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.transactions import is_beside
from labeling import openings, returns
from labeling.mixture import FOIL_REASON, GOLD, REPEAT, Shares
from labeling.openings import AMONG, NOW, WHO, Focus
from labeling.records import Assignment, Candidate, Lease

RANKED, POOL_ARM = "ranked", "pool"
_SPARE = 8
"""So many cells more are looked for than are wanted: others may come first to some of them."""
_EVER = datetime.min.replace(tzinfo=UTC)
_ARM: Any = bindparam("purpose", type_=String())


@dataclass(frozen=True, slots=True)
class Seen:
    """Cells that could be had a moment ago."""

    cells: Sequence[str] = ()
    has_more: bool = True
    """There may be others than these."""


@dataclass(frozen=True, slots=True)
class Opportunities:
    """All that an annotator could have had a moment ago."""

    own: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Repeats and gold cells that are due, by arm."""
    ranked: Seen = Seen()
    pool: Seen = Seen()

    @property
    def is_any(self) -> bool:
        """Whether there was anything."""
        return bool(self.ranked.cells or self.pool.cells or any(self.own.values()))


@dataclass(frozen=True, slots=True)
class Ask:
    """What one annotator asks for."""

    annotator: str
    reads: int
    now: datetime
    until: datetime
    exclude: frozenset[str]
    focus: Focus

    def held(self) -> Any:
        """Return a query of the cells that are his already and that he would be shown."""
        mine = select(Lease.cell_id).where(Lease.annotator == self.annotator, Lease.until > self.now)
        return mine.where(Lease.reason != FOIL_REASON, self.fits())

    def fits(self) -> Any:
        """Return the SQL condition that a lease of his is on a page of his or fits what he wants to see now."""
        return or_(Lease.cell_id.in_(self.exclude), Lease.reason == FOIL_REASON, self.focus.of_leases())

    def values(self, most: int, among: Collection[str] = ()) -> dict[str, Any]:
        """Return what the queries of `openings` and `returns` leave open."""
        return {
            "who": self.annotator, "wanted_reads": self.reads, "moment": self.now, "ends": self.until, "most": most,
            "without": list(self.exclude), "among": list(among), "long_ago": self.now - returns.REPEAT_AFTER,
        }  # fmt: skip

    def look(self, session: Session, limit: int, shares: Shares | None) -> Opportunities:
        """Find what he may get; only reads."""
        wanted = limit - len(set(session.scalars(self.held())) - self.exclude)
        if wanted <= 0:
            return Opportunities()
        due = returns.due(session, self.annotator, wanted, shares) if shares else {}
        own = {arm: self._cells(session, arm, count) for arm, count in due.items() if count}
        most = wanted + _SPARE
        ranked = self._cells(session, RANKED, most)
        if len(ranked) >= wanted:
            return Opportunities(own, Seen(ranked, len(ranked) == most))
        pool = self._cells(session, POOL_ARM, most)
        return Opportunities(own, Seen(ranked, has_more=False), Seen(pool, len(pool) == most))

    def _cells(self, session: Session, arm: str, most: int) -> Sequence[str]:
        return session.connection().scalars(_rows(arm, self.focus, is_named=False), self.values(most)).all()


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims cells for one annotator inside one open write transaction."""

    session: Session
    ask: Ask

    def take(self, wanted: int, seen: Opportunities) -> int:
        """Lease as many cells as are wanted, of what was seen where others have not come first; return how many."""
        left = wanted
        for arm, cells in seen.own.items():
            left -= self._claim(arm, min(left, len(cells)), cells)
        for arm, found in ((RANKED, seen.ranked), (POOL_ARM, seen.pool)):
            left -= self._claim(arm, left, found.cells)
            if found.has_more:
                left -= self._claim(arm, left)
        return wanted - left

    def _claim(self, arm: str, most: int, among: Sequence[str] | None = None) -> int:
        """Lease cells; return how many.

        Args:
            arm: The purpose; `RANKED`: the candidate's own.
            most: How many.
            among: Look at these only; None: at all.
        """
        # Own repeats and known cells are wanted by nobody else.
        if not is_beside(self.session) or arm in (REPEAT, GOLD):
            return self._lease(arm, most, among)
        taken = 0
        while taken < most and (locked := self._lock(arm, most - taken, among)):
            # Fewer where somebody took them just before the lock; the next look does not find those again.
            taken += self._lease(arm, most - taken, locked)
        return taken

    def _lock(self, arm: str, most: int, among: Sequence[str] | None) -> Sequence[str]:
        if among is not None and not among:
            return ()
        statement = _locking(arm, self.ask.focus, is_named=among is not None)
        return self.session.connection().scalars(statement, self._values(most, among)).all()

    def _lease(self, arm: str, most: int, among: Sequence[str] | None) -> int:
        """Lease cells in one statement, and note for which purpose; return how many."""
        if most <= 0 or (among is not None and not among):
            return 0
        connection, ask = self.session.connection(), self.ask
        statement = _leasing(arm, ask.focus, is_named=among is not None)
        cells = connection.scalars(statement, self._values(most, among)).all()
        if cells:
            connection.execute(_note(is_ranked=arm == RANKED), {**ask.values(most, cells), "purpose": arm})
        return len(cells)

    def _values(self, most: int, among: Sequence[str] | None) -> dict[str, Any]:
        # Those that ran out are deleted: a lease that is still there is one, or its holder is just renewing it.
        return {**self.ask.values(most, among or ()), "moment": _EVER}


def _rows(arm: str, focus: Focus, *, is_named: bool) -> Any:
    if arm in (REPEAT, GOLD):
        return (returns.repeats if arm == REPEAT else returns.gold)(is_named=is_named)
    return (openings.candidates if arm == RANKED else openings.pool)(focus, is_named=is_named)


@lru_cache(maxsize=64)
def _locking(arm: str, focus: Focus, *, is_named: bool) -> Any:
    rows = _rows(arm, focus, is_named=is_named)
    if arm == RANKED:
        rows = rows.join(Cell, Cell.id == Candidate.cell_id)
    # NO KEY: a label's reference to its cell must not wait for this.
    return rows.with_only_columns(Cell.id).with_for_update(key_share=True, skip_locked=True, of=Cell)


@lru_cache(maxsize=64)
def _leasing(arm: str, focus: Focus, *, is_named: bool) -> Any:
    rows = _rows(arm, focus, is_named=is_named)
    leases: Any = Lease.__table__
    return insert(leases).from_select(openings.LEASE_COLUMNS, rows).returning(leases.c.cell_id)


@cache
def _note(*, is_ranked: bool) -> Any:
    noted = select(Cell.id, WHO, Candidate.arm if is_ranked else _ARM, NOW).where(Cell.id.in_(AMONG))
    if is_ranked:
        noted = noted.join(Candidate, Candidate.cell_id == Cell.id)
    assignments: Any = Assignment.__table__
    return insert(assignments).from_select(("cell_id", "annotator", "arm", "served_at"), noted)
