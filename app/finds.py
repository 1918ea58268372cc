"""A doctor's mark on a slide becomes a cell: checked, its crop cut in the sandbox, then stored."""

from dataclasses import dataclass, replace

from app.pictures import Pictures, scan_facts
from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.crops import encode_png
from datasets.db import utc_now
from datasets.errors import UnreadableFile
from datasets.files import write_many
from datasets.identity import cell_code
from datasets.told import told
from labeling import finds
from labeling.errors import LabelRefused
from labeling.finds import AlreadyThere, FindEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class FindReceipt:
    """What became of one mark; `accepted` means that the cell is on disk."""

    key: str
    accepted: bool
    reason: str | None = None
    """Why it was refused."""
    cell_id: str | None = None
    """The new cell; of a refused mark the known one that lies there."""


def take(services: Services, pictures: Pictures, annotator: str, events: list[FindEvent]) -> list[FindReceipt]:
    """Store an annotator's marks, each key once; a refused one never costs the others."""
    return [_take_one(services, pictures, annotator, event) for event in events]


def _take_one(services: Services, pictures: Pictures, annotator: str, event: FindEvent) -> FindReceipt:
    # A tenth of a pixel tells points apart, here as for points that come in files.
    event = replace(event, x=round(event.x, 1), y=round(event.y, 1))
    try:
        cell_id = finds.stored(services.database, annotator, event) or _add(services, pictures, annotator, event)
    except AlreadyThere as refusal:
        return FindReceipt(key=event.key, accepted=False, reason=refusal.reason, cell_id=refusal.cell_id)
    except LabelRefused as refusal:
        return FindReceipt(key=event.key, accepted=False, reason=refusal.reason)
    except (UnreadableFile, FileNotFoundError):
        reason = told("this part of the slide cannot be read; tell the administrator.")
        return FindReceipt(key=event.key, accepted=False, reason=reason)
    return FindReceipt(key=event.key, accepted=True, cell_id=cell_id)


def _add(services: Services, pictures: Pictures, annotator: str, event: FindEvent) -> str:
    settings, database = services.settings, services.database
    slide = catalog.slide(database, event.slide_id)
    if slide is None or slide.sha256 is None or slide.kind == "cells":
        raise LabelRefused(told("slide {slide}: not in the catalogue; reload the page.", slide=event.slide_id[:20]))
    finds.check(event, slide, side_um=settings.crop_um, side_px=settings.crop_px)
    finds.refuse_known(database, event, slide)
    cell = _cell(services, event, slide, slide.sha256)
    crop = pictures.crop(slide, event.x, event.y, z_um=event.z_um)
    # The picture first: a row is never there without it.
    write_many([(catalog.crop_path(services.home, cell.id), encode_png(crop))])
    info = scan_facts(catalog.scan_info(database, slide.id))
    has_planes = info is not None and len(info.z_um) > 1
    return finds.add(database, annotator, event, slide, cell, has_planes=has_planes)


def _cell(services: Services, event: FindEvent, slide: Slide, sha256: str) -> Cell:
    return Cell(
        id=cell_code(services.secret_key, sha256, event.x, event.y), slide_id=slide.id, x=event.x, y=event.y,
        crop_mpp=None if slide.mpp is None else services.settings.crop_mpp, source_width_px=None,
        source_height_px=None, origin=finds.DRAWN, added_at=utc_now(),
    )  # fmt: skip
