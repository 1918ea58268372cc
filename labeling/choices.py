"""What a doctor may choose among, and how much of it is left for him. Only reads."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, func, select, union
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.db import utc_now
from labeling import orders
from labeling.mixture import BLIND, DIAL, NOVEL, UNCERTAIN
from labeling.openings import Focus, needs_reader
from labeling.records import BlindSlide, Candidate, Exemplar, Label, Lease

GROUNDS = {"unclear": (UNCERTAIN, DIAL), "unlike": (NOVEL,)}
"""Grounds of choice that a doctor may ask for, with their arms. Arms that measure something are none of them:
who asked for second reads would know one from a repeat."""
CHOSEN_REASON = "you asked for cells with this suggestion"
_AT_ONCE = 2000
"""So many cells are looked up in one question."""


def left_by_slide(session: Session, annotator: str, *, reads: int) -> dict[str, int]:
    """Count the cells that an annotator may still get, by slide; slides that the study's order leaves out have none.

    Args:
        session: An open transaction.
        annotator: Who asks.
        reads: How many doctors decide each cell.
    """
    only = orders.current(session).only_slides
    counts = select(Cell.slide_id, func.count()).group_by(Cell.slide_id)
    left = {slide: int(count) for slide, count in session.execute(counts) if not only or slide in only}
    gone = select(Cell.slide_id, func.count()).where(_is_closed(annotator, reads)).group_by(Cell.slide_id)
    for slide, count in session.execute(gone):
        if slide in left:
            left[slide] -= int(count)
    return left


def left_on_grounds(session: Session, annotator: str, focus: Focus, *, reads: int) -> int:
    """Count the ranked cells that fit what an annotator asks for."""
    focus = focus.under(orders.current(session), annotator)
    wanted = needs_reader(Candidate.cell_id, annotator, reads, utc_now(), Candidate.reads)
    return session.scalar(select(func.count()).select_from(Candidate).where(focus.of_candidates(), wanted)) or 0


def kept_from(session: Session, annotator: str, *, reads: int) -> set[str]:
    """Return the cells that an annotator cannot ask for by their suggestion: closed to him, or chosen by chance."""
    walled = (_is_closed(annotator, reads), _is_measured())
    return {cell for condition in walled for cell in session.scalars(select(Cell.id).where(condition))}


def cells_within(session: Session, annotator: str, focus: Focus) -> set[str] | None:
    """Return the cells of the slides that are asked for, as far as the study's order lets them; None: all."""
    slides = focus.under(orders.current(session), annotator).slides
    return set(session.scalars(select(Cell.id).where(Cell.slide_id.in_(slides)))) if slides else None


def open_among(
    session: Session, annotator: str, cells: Iterable[str], focus: Focus, *, reads: int, most: int
) -> list[str]:
    """Return the first of some cells that an annotator may get by their suggestion, in the given order.

    Args:
        session: An open transaction.
        annotator: Who asks; cells that are his already are left out.
        cells: The best ones first.
        focus: Of which slides they are to be.
        reads: How many doctors decide each cell.
        most: At most so many.
    """
    focus = focus.under(orders.current(session), annotator)
    found: list[str] = []
    for batch in _batches(cells):
        mine = select(Lease.cell_id).where(Lease.cell_id == Cell.id, Lease.annotator == annotator)
        query = select(Cell.id).where(
            Cell.id.in_(batch), needs_reader(Cell.id, annotator, reads, utc_now()), ~mine.exists(), ~_is_measured()
        )
        free = set(session.scalars(query.where(Cell.slide_id.in_(focus.slides)) if focus.slides else query))
        found += [cell for cell in batch if cell in free]
        if len(found) >= most:
            break
    return found[:most]


def _batches(cells: Iterable[str]) -> Iterable[Sequence[str]]:
    batch: list[str] = []
    size = _AT_ONCE // 16
    for cell in cells:
        batch.append(cell)
        if len(batch) == size:
            yield batch
            batch, size = [], min(2 * size, _AT_ONCE)
    if batch:
        yield batch


def _is_closed(annotator: str, reads: int) -> ColumnElement[bool]:
    """Return the SQL condition that an annotator cannot get a cell. Untouched cells are not looked at one by one."""
    touched = union(select(Label.cell_id), select(Lease.cell_id), select(Exemplar.cell_id))
    return and_(Cell.id.in_(touched), ~needs_reader(Cell.id, annotator, reads, utc_now()))


def _is_measured() -> ColumnElement[bool]:
    """Return the SQL condition that a cell is chosen by chance: handed out by its suggestion it measures nothing."""
    chance = select(Candidate.cell_id).where(Candidate.arm.in_(BLIND))
    return Cell.id.in_(chance) | Cell.slide_id.in_(select(BlindSlide.slide_id))
