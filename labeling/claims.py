"""Claiming cells: what a doctor may get is looked for while others write, then leased in a short turn to write."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import String, bindparam, insert, or_, select
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from labeling import openings, returns
from labeling.mixture import FOIL_REASON, GOLD, REPEAT, Shares
from labeling.openings import AMONG, NOW, WHO, Focus
from labeling.records import Assignment, Candidate, Lease

RANKED, POOL_ARM = "ranked", "pool"
_SPARE = 8
"""So many cells more are looked for than are wanted: others may come first to some of them."""
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

    def take(self, wanted: int, seen: Opportunities) -> None:
        """Lease as many cells as are wanted, of what was seen where others have not come first."""
        for arm, cells in seen.own.items():
            wanted -= self._claim(arm, min(wanted, len(cells)), cells)
        for arm, found in ((RANKED, seen.ranked), (POOL_ARM, seen.pool)):
            wanted -= self._claim(arm, wanted, found.cells)
            if found.has_more:
                wanted -= self._claim(arm, wanted)

    def _claim(self, arm: str, most: int, among: Sequence[str] | None = None) -> int:
        """Lease cells in one statement, and note for which purpose; return how many.

        Args:
            arm: The purpose; `RANKED`: the candidate's own.
            most: How many.
            among: Look at these only; None: at all.
        """
        if most <= 0 or (among is not None and not among):
            return 0
        connection, ask = self.session.connection(), self.ask
        statement = _lease(arm, ask.focus, is_named=among is not None)
        cells = connection.scalars(statement, ask.values(most, among or ())).all()
        if cells:
            connection.execute(_note(is_ranked=arm == RANKED), {**ask.values(most, cells), "purpose": arm})
        return len(cells)


def _rows(arm: str, focus: Focus, *, is_named: bool) -> Any:
    if arm in (REPEAT, GOLD):
        return (returns.repeats if arm == REPEAT else returns.gold)(is_named=is_named)
    return (openings.candidates if arm == RANKED else openings.pool)(focus, is_named=is_named)


@lru_cache(maxsize=64)
def _lease(arm: str, focus: Focus, *, is_named: bool) -> Any:
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
