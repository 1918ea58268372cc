"""Cells with what is known of them and of their slide, page by page. Only reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from datasets.catalog import Cell, Slide
from datasets.db import Database

_PAGE = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class CellFacts:
    """One cell. `x_px`, `y_px` is its centre in level-0 pixels, None for a picture of one cell."""

    cell_id: str
    slide_id: str
    x_px: float | None
    y_px: float | None
    slide_mpp: float | None
    """Micrometres per level-0 pixel, None where nobody knows."""
    crop_mpp: float | None
    """Micrometres per pixel of the stored crop, None where nobody knows."""
    origin: str
    """"imported", "detected", "grid" or "drawn"."""
    added_at: datetime


def cell_page(database: Database, *, after: str = "", limit: int, slides: Sequence[str] = ()) -> list[CellFacts]:
    """Return the next cells, ordered by id (a keyed hash: no order of slide or class).

    Args:
        database: The study's database.
        after: Only ids behind this one.
        limit: At most this many.
        slides: Only cells of these slides; empty: of all.
    """
    query = _query().where(Cell.id > after).order_by(Cell.id).limit(limit)
    if slides:
        query = query.where(Cell.slide_id.in_(slides))
    with database.read() as session:
        return [_facts(row) for row in session.execute(query)]


def cell_facts(database: Database, cell_id: str) -> CellFacts | None:
    """Return one cell, None for an unknown one."""
    with database.read() as session:
        row = session.execute(_query().where(Cell.id == cell_id)).one_or_none()
    return None if row is None else _facts(row)


def iter_cells(database: Database, *, slides: Sequence[str] = ()) -> Iterator[CellFacts]:
    """Yield all cells, ordered by id; memory does not grow with their number."""
    after = ""
    while page := cell_page(database, after=after, limit=_PAGE, slides=slides):
        yield from page
        after = page[-1].cell_id


def _query() -> Any:
    return select(Cell.id, Cell.slide_id, Cell.x, Cell.y, Slide.mpp, Cell.crop_mpp, Cell.origin, Cell.added_at).join(
        Slide, Slide.id == Cell.slide_id
    )


def _facts(row: Any) -> CellFacts:
    names = ("cell_id", "slide_id", "x_px", "y_px", "slide_mpp", "crop_mpp", "origin", "added_at")
    return CellFacts(**dict(zip(names, row, strict=True)))
