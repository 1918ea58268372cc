"""Where the catalogue's cells lie: on which slide, at which place, on which focal plane, at which scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update

from datasets.catalog import Cell, CellPlane, Nucleus, Scan, Search, Slide
from datasets.db import Database
from datasets.errors import UnreadableFile
from datasets.intake_report import IngestOptions
from datasets.notices import GIVEN_LOST, GIVEN_WON, is_of
from datasets.readers.base import SlideInfo
from datasets.scan_scale import is_same_scale, with_scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a cell lies on its slide: centre in level-0 pixels, and the slide's scale."""

    slide_id: str
    x: float
    y: float
    mpp: float | None


def place_of_cell(database: Database, cell_id: str) -> Place | None:
    """Return where a cell lies, None for an unknown cell and for a single-cell picture."""
    with database.read() as session:
        query = select(Cell.slide_id, Cell.x, Cell.y, Slide.mpp).join(Slide, Slide.id == Cell.slide_id)
        row = session.execute(query.where(Cell.id == cell_id)).one_or_none()
    if row is None or row[1] is None or row[2] is None:
        return None
    return Place(slide_id=row[0], x=row[1], y=row[2], mpp=row[3])


def cell_counts(database: Database, wanted: Sequence[str] | None = None) -> dict[str, int]:
    """Return how many cells slides have, of the wanted ones or all; slides without any are left out."""
    query = select(Cell.slide_id, func.count()).group_by(Cell.slide_id)
    with database.read() as session:
        return dict(session.execute(query if wanted is None else query.where(Cell.slide_id.in_(wanted))).all())


def slides_with_points(database: Database) -> set[str]:
    """Return the slides that have cells which came with their files."""
    with database.read() as session:
        return set(session.scalars(select(Cell.slide_id).where(Cell.origin == "imported").distinct()))


def nuclei_of_slide(database: Database, slide_id: str) -> dict[str, Nucleus]:
    """Return the boxes of a slide's detected cells."""
    with database.read() as session:
        query = select(Nucleus).join(Cell, Cell.id == Nucleus.cell_id).where(Cell.slide_id == slide_id)
        return {nucleus.cell_id: nucleus for nucleus in session.scalars(query)}


def planes_of_cells(database: Database, wanted: Sequence[str]) -> dict[str, tuple[float, list[float]]]:
    """Return, of those of the wanted cells whose slide has several focal planes, the crop's plane and all of them."""
    query = select(CellPlane.cell_id, CellPlane.z_um, Scan.info).join(Cell, Cell.id == CellPlane.cell_id)
    with database.read() as session:
        rows = session.execute(query.join(Scan, Scan.slide_id == Cell.slide_id).where(CellPlane.cell_id.in_(wanted)))
        return {cell_id: (z_um, [float(z) for z in info["z_um"]]) for cell_id, z_um, info in rows}


def scan_infos(database: Database, wanted: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the technical facts of scans by slide: of the wanted ones, None for all."""
    query = select(Scan) if wanted is None else select(Scan).where(Scan.slide_id.in_(wanted))
    with database.read() as session:
        return {scan.slide_id: dict(scan.info) for scan in session.scalars(query)}


def planes_of_slide(database: Database, slide_id: str) -> dict[str, float]:
    """Return the crops' focal planes of a slide's cells; empty where it has one plane only."""
    query = select(CellPlane.cell_id, CellPlane.z_um).join(Cell, Cell.id == CellPlane.cell_id)
    with database.read() as session:
        return dict(session.execute(query.where(Cell.slide_id == slide_id)).all())


def scale_of_slide(database: Database, slide_id: str) -> tuple[float, str] | None:
    """Return a slide's scale in um/px and where it is from, None for one without and for one that is not there."""
    with database.read() as session:
        slide = session.get(Slide, slide_id)
        return None if slide is None or slide.mpp is None else (slide.mpp, slide.mpp_source)


def overrule_scale(database: Database, slide_id: str, options: IngestOptions) -> bool:
    """Note the given scale of a scan in place of its file's, where it is to win; return whether it is another one now.

    A slide that is not there is left to whoever adds it.

    Raises:
        UnreadableFile: It has cells, cut by the scale that it has.
    """
    known = scale_of_slide(database, slide_id) if options.mpp_wins else None
    if known is None or options.mpp is None or is_same_scale(known[0], options.mpp):
        return False
    with database.write() as session:
        if session.scalar(select(Cell.id).where(Cell.slide_id == slide_id).limit(1)) is not None:
            raise UnreadableFile(f"its cells were cut at {known[0]:.4g} um/px, so its scale stays; take it into a new "
                                 "workspace with --mpp and --mpp-wins")  # fmt: skip
        scan = session.get_one(Scan, slide_id)
        kept = [note for note in scan.info["notes"] if not is_of(note, GIVEN_LOST, GIVEN_WON)]
        info, mpp, source = with_scale(SlideInfo.from_json({**scan.info, "notes": kept}), options)
        scan.info = info.to_json()
        session.execute(update(Slide).where(Slide.id == slide_id).values(mpp=mpp, mpp_source=source))
        session.execute(delete(Search).where(Search.slide_id == slide_id))  # it found nothing, by the wrong scale
    return mpp != known[0]


def give_scale(database: Database, slide_id: str, mpp: float) -> bool:
    """Note the scale of a field that had none, in um/px; return whether it was noted.

    A field that has cells stays as it is: their crops were cut in pixels, and new ones could not be compared with them.
    """
    cells = select(Cell.id).where(Cell.slide_id == slide_id)
    field = update(Slide).where(Slide.id == slide_id, Slide.mpp.is_(None), ~cells.exists())
    with database.write() as session:
        noted = session.execute(field.values(mpp=mpp, mpp_source="given").returning(Slide.id)).all()
        scan = session.get(Scan, slide_id) if noted else None
        if scan is not None:  # a stack of planes keeps its facts as a scan does
            scan.info = {**scan.info, "mpp": mpp}
    return bool(noted)
