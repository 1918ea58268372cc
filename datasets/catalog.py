"""The catalogue: which slides and cells the study has. The only writer of both tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import ForeignKey, Index, String, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped, mapped_column

from datasets.db import Base, Database, UtcDateTime


class Slide(Base):
    """One scan, one camera field, or one group of single-cell pictures of the same glass slide.

    Written by ingest only. `id` is a study code: the file's own name is nowhere in the database.
    """

    __tablename__ = "slides"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    """"field" (one picture in `slides/`) or "cells" (single-cell pictures)."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    """Of the original file's bytes; None for a group of single-cell pictures."""
    width_px: Mapped[int | None]
    height_px: Mapped[int | None]
    mpp: Mapped[float | None]
    """Micrometres per pixel, None where nobody knows."""
    mpp_source: Mapped[str] = mapped_column(String(40))
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Cell(Base):
    """One cell with its crop. Written by ingest and detection, never changed.

    `x`, `y` is the centre in level-0 pixels of the slide, None for single-cell pictures.
    """

    __tablename__ = "cells"
    __table_args__ = (Index("cells_by_slide", "slide_id"),)

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"))
    x: Mapped[float | None]
    y: Mapped[float | None]
    crop_mpp: Mapped[float | None]
    """Scale of the stored crop; None: the scan's scale is unknown, the pixel size is fixed."""
    source_width_px: Mapped[int | None]
    source_height_px: Mapped[int | None]
    """Size of a single-cell picture before it was brought to scale (for the size-only baseline)."""
    origin: Mapped[str] = mapped_column(String(10))
    """"imported" or "detected"."""
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogCounts:
    """How much the study holds."""

    slides: int
    cells: int
    cells_without_scale: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a cell lies on its slide: centre in level-0 pixels, and the slide's scale."""

    slide_id: str
    x: float
    y: float
    mpp: float | None


def add(database: Database, slides: Sequence[Slide], cells: Sequence[Cell]) -> tuple[int, int]:
    """Add what is not there yet, in one transaction; known ids are left as they are.

    Returns:
        How many slides and cells were new.
    """
    with database.write() as session:
        added = []
        for table, rows in ((Slide, slides), (Cell, cells)):
            before = session.scalar(select(func.count()).select_from(table)) or 0
            if rows:
                values = [{column.key: getattr(row, column.key) for column in table.__table__.columns} for row in rows]
                session.execute(insert(table).on_conflict_do_nothing(), values)
            added.append((session.scalar(select(func.count()).select_from(table)) or 0) - before)
        return added[0], added[1]


def counts(database: Database) -> CatalogCounts:
    """Count slides and cells."""
    with database.read() as session:
        return CatalogCounts(
            slides=session.scalar(select(func.count()).select_from(Slide)) or 0,
            cells=session.scalar(select(func.count()).select_from(Cell)) or 0,
            cells_without_scale=session.scalar(
                select(func.count()).select_from(Cell).where(Cell.crop_mpp.is_(None))
            ) or 0,
        )  # fmt: skip


def cell_ids(database: Database) -> list[str]:
    """Return all cells, ordered by id (a keyed hash: no order of slide or class)."""
    with database.read() as session:
        return list(session.scalars(select(Cell.id).order_by(Cell.id)))


def slide_of_cells(database: Database) -> dict[str, str]:
    """Return the slide of each cell: the group by which data is split."""
    with database.read() as session:
        return dict(session.execute(select(Cell.id, Cell.slide_id)).all())


def crop_path(home: Path, cell_id: str) -> Path:
    """Return where a cell's crop lies: PNG, square, at the study's fixed scale."""
    return home / "crops" / cell_id[-2:] / f"{cell_id}.png"


def field_path(home: Path, slide_id: str) -> Path:
    """Return where a field's de-identified copy lies: PNG without metadata."""
    return home / "slides" / f"{slide_id}.png"


def slide_ids(database: Database) -> set[str]:
    """Return the ids of all slides."""
    with database.read() as session:
        return set(session.scalars(select(Slide.id)))


def fields(database: Database) -> list[Slide]:
    """Return all fields, ordered by id."""
    with database.read() as session:
        return list(session.scalars(select(Slide).where(Slide.kind == "field").order_by(Slide.id)))


def cells(database: Database) -> list[Cell]:
    """Return all cells, ordered by id (a keyed hash: no order of slide or class)."""
    with database.read() as session:
        return list(session.scalars(select(Cell).order_by(Cell.id)))


def crop_scales(database: Database, wanted: Sequence[str]) -> dict[str, float | None]:
    """Return the crop's um/px of those of the wanted cells that exist; None where unknown."""
    with database.read() as session:
        rows = session.execute(select(Cell.id, Cell.crop_mpp).where(Cell.id.in_(wanted)))
        return dict(rows.all())


def place_of_cell(database: Database, cell_id: str) -> Place | None:
    """Return where a cell lies, None for an unknown cell and for a single-cell picture."""
    with database.read() as session:
        query = select(Cell.slide_id, Cell.x, Cell.y, Slide.mpp).join(Slide, Slide.id == Cell.slide_id)
        row = session.execute(query.where(Cell.id == cell_id)).one_or_none()
    if row is None or row[1] is None or row[2] is None:
        return None
    return Place(slide_id=row[0], x=row[1], y=row[2], mpp=row[3])
