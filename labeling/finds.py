"""Cells that a doctor marked because nobody had found them. The only writer of `finds`.

A cell marked by hand is a cell like any other: it has a crop at the study's scale, waits for its
vector, and can be labelled at once. Who marked it, where and when, is told in the chain of events.
"""

import math
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import Database, repeated, utc_now
from datasets.told import told
from labeling.errors import LabelRefused
from labeling.slide_records import Find

DRAWN = "drawn"
"""The origin of such a cell."""
SAME_UM, SAME_PX = 4.5, 18.0
"""A mark this near to a known cell is that cell; pixels where the scale is unknown."""
SMALLEST_UM, SMALLEST_PX = 2.0, 6.0
"""Side of the smallest box: no nucleus is smaller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FindEvent:
    """A mark as it comes from the browser, in level-0 pixels; `key` is made there and is the same on a resend."""

    key: str
    slide_id: str
    x: float
    """Centre in level-0 pixels of the slide."""
    y: float
    width_px: float = 0.0
    """Of the box; 0 for a point."""
    height_px: float = 0.0
    z_um: float = 0.0
    """The focal plane that was on screen."""


class AlreadyThere(LabelRefused):
    """A mark on a cell that is known."""

    def __init__(self, cell_id: str, distance: str) -> None:
        super().__init__(told("there is a cell here already, {distance} away; it is chosen now.", distance=distance))
        self.cell_id = cell_id


def check(event: FindEvent, slide: Slide, *, side_um: float, side_px: int) -> None:
    """Refuse a mark that cannot be a cell of this slide.

    Args:
        event: The mark.
        slide: The slide that it names.
        side_um: Side of a crop in micrometres: a cell fits into it.
        side_px: Side of a crop in source pixels where the scale is unknown.

    Raises:
        LabelRefused: With the fact, and the way out.
    """
    width, height = slide.width_px or 0, slide.height_px or 0
    half = (event.width_px / 2, event.height_px / 2)
    if event.x - half[0] < 0 or event.y - half[1] < 0 or event.x + half[0] > width or event.y + half[1] > height:
        raise LabelRefused(
            told("the mark leaves the slide's {width} x {height} pixels; draw it inside.", width=width, height=height)
        )
    if not 0 <= event.x < width or not 0 <= event.y < height:
        raise LabelRefused(
            told(
                "the place {x:.0f}, {y:.0f} lies outside the slide's {width} x {height} pixels.",
                x=event.x, y=event.y, width=width, height=height,
            )
        )  # fmt: skip
    if not event.width_px and not event.height_px:
        return
    unit, scale = ("um", slide.mpp) if slide.mpp else ("px", 1.0)
    small, large = (SMALLEST_UM, side_um) if slide.mpp else (SMALLEST_PX, float(side_px))
    sides = sorted(length * scale for length in (event.width_px, event.height_px))
    if sides[0] < small:
        raise LabelRefused(
            told(
                "a box of {side:.1f} {unit} is smaller than a nucleus; click the nucleus, or draw the box round it.",
                side=sides[0], unit=unit,
            )
        )  # fmt: skip
    if sides[1] > large:
        raise LabelRefused(
            told(
                "a box of {side:.0f} {unit} holds more than one cell's picture ({most:.0f} {unit}); "
                "draw it round one cell.",
                side=sides[1], most=large, unit=unit,
            )
        )  # fmt: skip


def stored(database: Database, annotator: str, event: FindEvent) -> str | None:
    """Return the cell of a mark that is stored already, None for a new one.

    Raises:
        LabelRefused: The key belongs to another mark.
    """
    with database.read() as session:
        return _stored(session, annotator, event)


def _stored(session: Session, annotator: str, event: FindEvent) -> str | None:
    find = session.scalar(select(Find).where(Find.key == event.key))
    if find is None:
        return None
    slide_id = session.scalar(select(Cell.slide_id).where(Cell.id == find.cell_id))
    if (find.annotator, slide_id, find.x, find.y) != (annotator, event.slide_id, event.x, event.y):
        raise LabelRefused(f"key {event.key}: stored already for another mark.")
    return find.cell_id


@repeated
def add(
    database: Database, annotator: str, event: FindEvent, slide: Slide, cell: Cell, *, has_planes: bool = False
) -> str:
    """Add a marked cell, in one transaction with who marked it.

    Args:
        database: The study's database.
        annotator: Who marked it.
        event: The mark; stored once, however often it is sent.
        slide: Its slide.
        cell: The new row; its crop is on disk already.
        has_planes: Whether the slide has several focal planes; the cell then keeps the one of the mark.

    Returns:
        The cell's id.

    Raises:
        LabelRefused: The key belongs to another mark.
        AlreadyThere: A known cell lies here; told with its id.
    """
    with database.write(is_urgent=True) as session:
        known = _stored(session, annotator, event)
        if known is not None:
            return known
        _refuse_known(session, event, slide)
        catalog.add_cell(session, cell, z_um=event.z_um if has_planes else None)
        session.add(
            Find(key=event.key, cell_id=cell.id, annotator=annotator, x=event.x, y=event.y, width_px=event.width_px,
                 height_px=event.height_px, z_um=event.z_um, made_at=utc_now())
        )  # fmt: skip
        session.flush()
        return cell.id


def refuse_known(database: Database, event: FindEvent, slide: Slide) -> None:
    """Refuse a mark on a known cell.

    Raises:
        AlreadyThere: With the cell.
    """
    with database.read() as session:
        _refuse_known(session, event, slide)


def _refuse_known(session: Session, event: FindEvent, slide: Slide) -> None:
    reach = SAME_UM / slide.mpp if slide.mpp else SAME_PX
    query = select(Cell.id, Cell.x, Cell.y).where(
        Cell.slide_id == slide.id, Cell.x.between(event.x - reach, event.x + reach),
        Cell.y.between(event.y - reach, event.y + reach),
    )  # fmt: skip
    near = [(math.hypot((x or 0) - event.x, (y or 0) - event.y), cell_id) for cell_id, x, y in session.execute(query)]
    if near and min(near)[0] <= reach:
        distance, cell_id = min(near)
        away = f"{distance * slide.mpp:.1f} um" if slide.mpp else f"{distance:.0f} px"
        raise AlreadyThere(cell_id, away)
