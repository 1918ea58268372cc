"""The catalogue: which slides and cells the study has. The only writer of both tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DDL, JSON, ForeignKey, Index, String, event, func, literal_column, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from datasets.db import Base, Database, UtcDateTime, repeated
from datasets.transactions import insert_into


class Slide(Base):
    """One scan, one camera field, or one group of single-cell pictures of the same glass slide.

    Written by ingest only. `id` is a study code: the file's own name is nowhere in the database.
    """

    __tablename__ = "slides"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    """"field" (one picture in `slides/`), "slide" (a scan, read through the sandbox from its
    original) or "cells" (single-cell pictures)."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    """Of the original file's bytes; None for a group of single-cell pictures."""
    width_px: Mapped[int | None]
    height_px: Mapped[int | None]
    mpp: Mapped[float | None]
    """Micrometres per pixel, None where nobody knows."""
    mpp_source: Mapped[str] = mapped_column(String(40))
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Cell(Base):
    """One cell with its crop. Added by ingest, detection and by hand, never changed.

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
    """"imported", "detected", "grid" (stain in which no nucleus was found) or "drawn" (marked by a doctor)."""
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


# SQLite numbers its rows by itself; `last_cell_number` needs the same of PostgreSQL.
event.listen(
    Cell.__table__,
    "after_create",
    DDL("ALTER TABLE cells ADD COLUMN number BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE").execute_if(  # type: ignore[no-untyped-call]
        dialect="postgresql"
    ),
)


ODD_TILES = "odd_tiles"
"""Among a scan's facts: how many tiles gave nothing, by the pattern that says why."""


class Scan(Base):
    """Technical facts of one scanned slide, beside its row in `slides`. Written by ingest, `ODD_TILES` by detection."""

    __tablename__ = "scans"

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), primary_key=True)
    info: Mapped[dict[str, Any]] = mapped_column(JSON)
    """`readers.base.SlideInfo`: format, levels, focal planes, what was told to the operator."""


class Nucleus(Base):
    """Where a detected cell's nucleus lies. Written by detection only, never changed."""

    __tablename__ = "nuclei"

    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    left_um: Mapped[float]
    top_um: Mapped[float]
    """Corner of the box, from the slide's upper left corner."""
    width_um: Mapped[float]
    height_um: Mapped[float]
    confidence: Mapped[float]
    """0 to 1 by contrast; orders, is no probability."""
    overlap: Mapped[float]
    """Share of the box that another nucleus covers."""


class CellPlane(Base):
    """The focal plane of a cell's crop, where its slide has several. Written with the cell, never changed."""

    __tablename__ = "cell_planes"

    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    z_um: Mapped[float]
    """The sharpest at the nucleus; of a cell marked by hand the one that was on screen."""


class Search(Base):
    """How far the search for nuclei on a slide has come. Written by detection only."""

    __tablename__ = "searches"

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), primary_key=True)
    version: Mapped[int]
    """Of the detector."""
    tiles_done: Mapped[int]
    tiles: Mapped[int]
    unreadable_tiles: Mapped[int]
    cells: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogCounts:
    """How much the study holds."""

    slides: int
    cells: int
    cells_without_scale: int


@repeated
def add(
    database: Database,
    slides: Sequence[Slide],
    cells: Sequence[Cell],
    scans: Sequence[Scan] = (),
    planes: Sequence[CellPlane] = (),
) -> tuple[int, int]:
    """Add rows (as `Slide`, `Cell`, `Scan`, `CellPlane` tell) in one transaction; known ids are left as they are.

    Returns:
        How many slides and cells were new.
    """
    with database.write() as session:
        added = [
            _add_rows(session, table, rows)
            for table, rows in ((Slide, slides), (Cell, cells), (Scan, scans), (CellPlane, planes))
        ]
        return added[0], added[1]


@repeated
def add_cell(session: Session, cell: Cell, *, z_um: float | None = None) -> None:
    """Add one cell in the caller's transaction, together with what he stores of it; `z_um` where there are planes."""
    session.add(cell)
    session.flush()
    if z_um is not None:
        session.add(CellPlane(cell_id=cell.id, z_um=z_um))


def add_found(
    database: Database,
    search: Search,
    cells: Sequence[Cell],
    nuclei: Sequence[Nucleus],
    planes: Sequence[CellPlane] = (),
    *,
    odd: Mapping[str, int] | None = None,
) -> int:
    """Add a searched tile's cells (rows as in `add`) and how far the search is, at once; return how many were new.

    `odd` is kept as the scan's `ODD_TILES`.
    """
    with database.write() as session:
        scan = None if odd is None else session.get(Scan, search.slide_id)
        if scan is not None and scan.info.get(ODD_TILES, {}) != odd:
            scan.info = {**scan.info, ODD_TILES: dict(odd or {})}
        added = _add_rows(session, Cell, cells)
        _add_rows(session, Nucleus, nuclei)
        _add_rows(session, CellPlane, planes)
        session.merge(search)
        return added


def _add_rows(session: Session, table: type[Base], rows: Sequence[Base]) -> int:
    before = session.scalar(select(func.count()).select_from(table)) or 0
    if rows:
        values = [{column.key: getattr(row, column.key) for column in table.__table__.columns} for row in rows]
        session.execute(insert_into(session, table).on_conflict_do_nothing(), values)
    return (session.scalar(select(func.count()).select_from(table)) or 0) - before


def counts(database: Database) -> CatalogCounts:
    """Count slides and cells."""
    with database.read() as session:
        slides = session.scalar(select(func.count()).select_from(Slide)) or 0
        unscaled = session.scalar(select(func.count()).select_from(Cell).where(Cell.crop_mpp.is_(None))) or 0
        return CatalogCounts(slides=slides, cells=count_cells(session), cells_without_scale=unscaled)


def last_cell_number(session: Session) -> int:
    """Return a number that grows with every added cell: found at once, where counting a million takes longer."""
    return session.scalar(select(func.max(_number(session))).select_from(Cell)) or 0


def count_cells(session: Session, *, after: int = 0) -> int:
    """Count the cells that were added after the one of this number; all of them after 0."""
    return session.scalar(select(func.count()).select_from(Cell).where(_number(session) > after)) or 0


def _number(session: Session) -> Any:
    return literal_column("rowid" if session.get_bind().dialect.name == "sqlite" else "number")


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


def plane_path(home: Path, slide_id: str, number: int) -> Path:
    """Return where a plane of a field that was taken at several lies; the sharpest is `field_path` too."""
    return home / "slides" / slide_id / f"plane-{number:03d}.png"


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


def slide(database: Database, slide_id: str) -> Slide | None:
    """Return a slide, None for an unknown one."""
    with database.read() as session:
        return session.get(Slide, slide_id)


def slides_with_pictures(database: Database) -> list[Slide]:
    """Return all fields and scans, ordered by id."""
    with database.read() as session:
        return list(session.scalars(select(Slide).where(Slide.kind.in_(("field", "slide"))).order_by(Slide.id)))


def scan_info(database: Database, slide_id: str) -> dict[str, Any] | None:
    """Return a scan's technical facts, None for what is not a scan."""
    with database.read() as session:
        scan = session.get(Scan, slide_id)
        return None if scan is None else dict(scan.info)


def cells_of_slide(database: Database, slide_id: str) -> list[Cell]:
    """Return a slide's cells, ordered by id."""
    with database.read() as session:
        return list(session.scalars(select(Cell).where(Cell.slide_id == slide_id).order_by(Cell.id)))


def searches(database: Database) -> dict[str, Search]:
    """Return the searches for nuclei by slide."""
    with database.read() as session:
        return {search.slide_id: search for search in session.scalars(select(Search))}
