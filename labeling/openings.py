"""Which cells may be given to whom: queries for the leases, which are claimed in one statement each. Only reads."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, String, and_, case, false, func, literal, null, select, true
from sqlalchemy.orm import InstrumentedAttribute, aliased

from datasets.catalog import Cell
from datasets.db import UtcDateTime
from labeling.answers import counts
from labeling.mixture import FOIL_REASON
from labeling.records import IMPORTED, Candidate, Exemplar, Label, Lease, Undo

CellColumn = InstrumentedAttribute[str]

POOL_REASON = "next in the pool"


@dataclass(frozen=True, kw_only=True, slots=True)
class Focus:
    """Which part of the study a doctor wants to work on; empty means all of it."""

    slides: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    """Categories that the probe suggests."""

    def of_candidates(self) -> ColumnElement[bool]:
        """Return the SQL condition on the ranked candidates."""
        on_slides = Candidate.cell_id.in_(select(Cell.id).where(Cell.slide_id.in_(self.slides)))
        parts = ([on_slides] if self.slides else []) + (
            [Candidate.suggestion.in_(self.suggested)] if self.suggested else []
        )
        return and_(true(), *parts)

    def of_cells(self) -> ColumnElement[bool]:
        """Return the SQL condition on cells without a rank: of them no suggestion is at hand."""
        on_slides = Cell.slide_id.in_(self.slides) if self.slides else true()
        return and_(on_slides, false()) if self.suggested else on_slides


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
    cell_id: CellColumn, annotator: str, reads: int, now: datetime, own_reads: InstrumentedAttribute[int] | None = None
) -> ColumnElement[bool]:  # fmt: skip
    """Return the SQL condition that a cell may be given to this annotator.

    Args:
        cell_id: The cell's column.
        annotator: Who asks.
        reads: How many doctors decide each cell.
        now: Leases that end later count as readers.
        own_reads: Column of a number of readers of the cell's own; the larger number counts.
    """
    wanted = literal(reads) if own_reads is None else case((own_reads > reads, own_reads), else_=reads)
    mine = select(Label.id).where(Label.cell_id == cell_id, Label.annotator == annotator, counts())
    done = select(func.count(Label.annotator.distinct())).where(
        Label.cell_id == cell_id, Label.annotator.not_in([IMPORTED, annotator]), counts()
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


def candidates(
    annotator: str, reads: int, now: datetime, until: datetime, exclude: Collection[str], limit: int,
    focus: Focus = EVERYTHING,
) -> Any:  # fmt: skip
    """Return a query of the ranked candidates that an annotator may get, as rows of a lease."""
    return (
        select(
            Candidate.cell_id, literal(annotator), literal(until, UtcDateTime), Candidate.reason,
            Candidate.suggestion, Candidate.suggestion_probability, Candidate.probe_id,
        )
        .where(Candidate.cell_id.not_in(exclude), focus.of_candidates())
        .where(needs_reader(Candidate.cell_id, annotator, reads, now, Candidate.reads))
        .where(_is_free(Candidate.cell_id, annotator))
        .order_by(Candidate.rank)
        .limit(limit)
    )  # fmt: skip


def pool(
    annotator: str, reads: int, now: datetime, until: datetime, exclude: Collection[str], limit: int,
    focus: Focus = EVERYTHING,
) -> Any:  # fmt: skip
    """Return a query of any cells that an annotator may get, as rows of a lease."""
    return (
        select(Cell.id, literal(annotator), literal(until, UtcDateTime), literal(POOL_REASON), *NOTHING)
        .where(Cell.id.not_in(exclude), focus.of_cells(), needs_reader(Cell.id, annotator, reads, now))
        .where(_is_free(Cell.id, annotator))
        # The id is a keyed hash: this order is as good as random, and the same for everyone.
        .order_by(Cell.id)
        .limit(limit)
    )


def _is_free(cell_id: CellColumn, annotator: str) -> ColumnElement[bool]:
    own = select(Lease.cell_id).where(Lease.cell_id == cell_id, Lease.annotator == annotator)
    return ~own.exists()
