"""Which cells may be given to whom: queries for the leases, which are claimed in one statement each. Only reads.

The large ones are built once, with places for what differs (`WHO`, `NOW`, ...): building one took longer than
asking it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    String,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased

from datasets.catalog import Cell
from datasets.db import UtcDateTime
from labeling.answers import counts
from labeling.mixture import BLIND, CHECK_REASON, FOIL_REASON, SECOND
from labeling.orders import Order
from labeling.records import IMPORTED, Assignment, Candidate, Exemplar, Label, Lease, Undo

CellColumn = InstrumentedAttribute[str]

POOL_REASON = "next in the pool"
WHO: Any = bindparam("who", type_=String())
READS: Any = bindparam("wanted_reads", type_=Integer())
NOW: Any = bindparam("moment", type_=UtcDateTime())
UNTIL: Any = bindparam("ends", type_=UtcDateTime())
MOST: Any = bindparam("most", type_=Integer())
WITHOUT: Any = bindparam("without", expanding=True)
"""Cells that the asker's browser holds already."""
AMONG: Any = bindparam("among", expanding=True)
"""Cells that were found a moment ago."""
_NO_SLIDE = ""
_KEPT = 64
"""So many ways to ask are remembered: one for each choice of slides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Focus:
    """Which part of the study a doctor wants to work on; empty means all of it."""

    slides: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    """Categories that the probe suggests."""
    arms: tuple[str, ...] = ()
    """Grounds on which the ranked list chose."""
    skips_seconds: bool = False
    """The second reads that the study has ordered are for others."""

    def under(self, order: Order, annotator: str) -> "Focus":
        """Return the part of this focus that the study's order leaves to an annotator."""
        others = bool(order.second_readers) and annotator not in order.second_readers
        if not order.only_slides:
            return replace(self, skips_seconds=others)
        both = [slide for slide in self.slides or order.only_slides if slide in order.only_slides]
        return replace(self, slides=tuple(both) or (_NO_SLIDE,), skips_seconds=others)

    def of_candidates(self) -> ColumnElement[bool]:
        """Return the SQL condition on the ranked candidates."""
        on_slides = Candidate.cell_id.in_(select(Cell.id).where(Cell.slide_id.in_(self.slides)))
        # Check cells are chosen by chance: handed out by their suggestion they would measure something else.
        is_suggested = and_(Candidate.suggestion.in_(self.suggested), Candidate.arm.not_in(BLIND))
        return and_(
            on_slides if self.slides else true(),
            is_suggested if self.suggested else true(),
            Candidate.arm.in_(self.arms) if self.arms else true(),
            Candidate.arm != SECOND if self.skips_seconds else true(),
        )

    def of_cells(self) -> ColumnElement[bool]:
        """Return the SQL condition on cells without a rank: of them neither suggestion nor ground is at hand."""
        on_slides = Cell.slide_id.in_(self.slides) if self.slides else true()
        return and_(on_slides, false()) if self.suggested or self.arms else on_slides

    def of_leases(self) -> ColumnElement[bool]:
        """Return the SQL condition on cells that are somebody's already; what comes back by itself always fits."""
        on_slides = Lease.cell_id.in_(select(Cell.id).where(Cell.slide_id.in_(self.slides)))
        is_suggested = and_(Lease.suggestion.in_(self.suggested), Lease.reason != CHECK_REASON)
        chosen_so = select(Assignment.id).where(
            Assignment.cell_id == Lease.cell_id, Assignment.annotator == Lease.annotator, Assignment.arm.in_(self.arms)
        )
        fits = and_(
            on_slides if self.slides else true(),
            is_suggested if self.suggested else true(),
            chosen_so.exists() if self.arms else true(),
        )
        return or_(fits, and_(Lease.reason == CHECK_REASON, Lease.suggestion.is_(None)))


EVERYTHING = Focus()

LEASE_COLUMNS = (
    "cell_id",
    "annotator",
    "until",
    "reason",
    "suggestion",
    "suggestion_probability",
    "probe_id",
)
NOTHING = (null().cast(String), null().cast(Float), null().cast(String))
"""No suggestion, no probability, no probe."""


def needs_reader(
    cell_id: CellColumn, annotator: str | ColumnElement[str], reads: int | ColumnElement[int],
    now: datetime | ColumnElement[datetime], own_reads: InstrumentedAttribute[int] | None = None,
) -> ColumnElement[bool]:  # fmt: skip
    """Return the SQL condition that a cell may be given to this annotator.

    Args:
        cell_id: The cell's column.
        annotator: Who asks.
        reads: How many doctors decide each cell.
        now: Leases that end later count as readers.
        own_reads: Column of a number of readers of the cell's own; the larger number counts.
    """
    reads = literal(reads) if isinstance(reads, int) else reads
    wanted = reads if own_reads is None else case((own_reads > reads, own_reads), else_=reads)
    mine = select(Label.id).where(Label.cell_id == cell_id, Label.annotator == annotator, counts())
    done = select(func.count(Label.annotator.distinct())).where(
        Label.cell_id == cell_id, Label.annotator != IMPORTED, Label.annotator != annotator, counts()
    )
    held = select(func.count()).select_from(Lease).where(
        Lease.cell_id == cell_id, Lease.annotator != annotator, Lease.until > now, ~_is_repeat(),
        Lease.reason != FOIL_REASON,
    )  # fmt: skip
    of_atlas = select(Exemplar.id).where(Exemplar.cell_id == cell_id, Exemplar.is_atlas)
    return and_(~of_atlas.exists(), ~mine.exists(), done.scalar_subquery() + held.scalar_subquery() < wanted)


def _is_repeat() -> ColumnElement[bool]:
    """Return the SQL condition that a lease's holder has decided the cell already, so that he counts once."""
    other = aliased(Label)
    undone = select(Undo.id).where(Undo.label_id == other.id)
    decided = select(other.id).where(other.cell_id == Lease.cell_id, other.annotator == Lease.annotator)
    return decided.where(~undone.exists()).exists()


@lru_cache(maxsize=_KEPT)
def candidates(focus: Focus = EVERYTHING, *, is_named: bool = False) -> Any:
    """Return a query of the ranked candidates that an annotator may get, as rows of a lease.

    Args:
        focus: Of which part of the study.
        is_named: Look at the cells `AMONG` only.
    """
    return (
        select(
            Candidate.cell_id, WHO, UNTIL, Candidate.reason,
            Candidate.suggestion, Candidate.suggestion_probability, Candidate.probe_id,
        )
        .where(Candidate.cell_id.in_(AMONG) if is_named else true())
        .where(Candidate.cell_id.not_in(WITHOUT), focus.of_candidates())
        .where(needs_reader(Candidate.cell_id, WHO, READS, NOW, Candidate.reads), _is_free(Candidate.cell_id))
        .order_by(Candidate.rank)
        .limit(MOST)
    )  # fmt: skip


@lru_cache(maxsize=_KEPT)
def pool(focus: Focus = EVERYTHING, *, is_named: bool = False) -> Any:
    """Return a query of any cells that an annotator may get, as rows of a lease; arguments as of `candidates`."""
    return (
        select(Cell.id, WHO, UNTIL, literal(POOL_REASON), *NOTHING)
        .where(Cell.id.in_(AMONG) if is_named else true())
        .where(Cell.id.not_in(WITHOUT), focus.of_cells(), needs_reader(Cell.id, WHO, READS, NOW), _is_free(Cell.id))
        # The id is a keyed hash: this order is as good as random, and the same for everyone.
        .order_by(Cell.id)
        .limit(MOST)
    )


def _is_free(cell_id: CellColumn) -> ColumnElement[bool]:
    own = select(Lease.cell_id).where(Lease.cell_id == cell_id, Lease.annotator == WHO, Lease.until > NOW)
    return ~own.exists()
