"""What the study's pictures are like: measures of slides and cells, the same cell twice, odd slides, odd cells."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.crops import read_own_png
from datasets.errors import UnreadableFile
from datasets.pictures import open_picture
from datasets.quality import Quality, measure, outliers, picture_hash, same_pictures
from datasets.sandbox import Decoder
from labeling.neighbours import near_duplicates, strangers

QUALITY_FILE = "quality.json"
"""What the last survey found: study codes and numbers, for the page Quality."""
FALLBACK_MPP = 0.25
_NEAR_UM = 16.0
"""Crops of one slide whose centres are nearer than this overlap: alike without being a duplicate."""

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Same:
    """Two cells whose pictures are nearly the same."""

    first: str
    second: str
    found_by: str
    """"picture" (difference hash) or "embedding" (cosine)."""
    likeness: float
    """1 for the same: share of equal bits, or the cosine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityReport:
    """Measures of slides and cells, and what stands out."""

    slides: dict[str, Quality]
    cells: dict[str, Quality]
    same: list[Same]
    odd_slides: list[tuple[str, str, float]]
    """(slide, measure, robust deviations from the study's median)."""
    odd_cells: list[tuple[str, str, float]]
    strange_cells: list[tuple[str, float]]
    """(cell, robust deviations): those whose vectors resemble no other."""
    unreadable: list[tuple[str, str]]

    def to_json(self) -> dict[str, object]:
        """Return plain values: everything of slides, of cells what stands out."""
        return {
            "slides": [{"slide": slide, **asdict(row)} for slide, row in self.slides.items()],
            "cells": len(self.cells),
            "same": [asdict(pair) for pair in self.same],
            "odd_slides": [{"slide": s, "measure": m, "deviations": round(d, 1)} for s, m, d in self.odd_slides],
            "odd_cells": [{"cell": c, "measure": m, "deviations": round(d, 1)} for c, m, d in self.odd_cells],
            "strange_cells": [{"cell": c, "deviations": round(d, 1)} for c, d in self.strange_cells],
            "unreadable": [{"slide": slide, "reason": reason} for slide, reason in self.unreadable],
        }


def read_report(home: Path) -> dict[str, Any] | None:
    """Return what the last survey of a workspace found, as `QualityReport.to_json` told it; None before the first."""
    path = home / QUALITY_FILE
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def survey(services: Services, on_progress: OnProgress = lambda done, total: None) -> QualityReport:
    """Measure all pictures of the study and compare them with each other.

    Args:
        services: The open workspace.
        on_progress: Called with (pictures done, pictures in all).
    """
    slides, cells = catalog.slides_with_pictures(services.database), catalog.cells(services.database)
    total = len(slides) + len(cells)
    by_slide: dict[str, Quality] = {}
    unreadable = []
    with Decoder() as decoder:
        for done, slide in enumerate(slides, start=1):
            try:
                by_slide[slide.id] = _measure_slide(services, slide, decoder)
            except UnreadableFile as error:
                unreadable.append((slide.id, error.reason))
            on_progress(done, total)
    by_cell, hashes = {}, []
    for done, cell in enumerate(cells, start=len(slides) + 1):
        crop = read_own_png(catalog.crop_path(services.home, cell.id))
        by_cell[cell.id] = measure(crop, cell.crop_mpp or FALLBACK_MPP)
        hashes.append(picture_hash(crop))
        on_progress(done, total)
    ids, names = list(by_slide), list(by_cell)
    return QualityReport(
        slides=by_slide, cells=by_cell, same=[*_same_by_picture(cells, hashes), *_same_by_vector(services, cells)],
        odd_slides=[(ids[row], name, far) for row, name, far in outliers(list(by_slide.values()))],
        odd_cells=[(names[row], name, far) for row, name, far in outliers(list(by_cell.values()), deviations=6)],
        strange_cells=_strange(services, cells), unreadable=unreadable,
    )  # fmt: skip


def _measure_slide(services: Services, slide: Slide, decoder: Decoder) -> Quality:
    picture = open_picture(services.database, services.home, slide, decoder)
    overview = picture.overview()
    mpp = slide.mpp or FALLBACK_MPP
    return measure(overview, mpp * max(1.0, picture.width_px / overview.shape[1]))


def _same_by_picture(cells: list[Cell], hashes: list[int]) -> list[Same]:
    return [
        Same(first=cells[a].id, second=cells[b].id, found_by="picture", likeness=1 - bits / 64)
        for a, b, bits in same_pictures(hashes)
        if not _overlap(cells[a], cells[b])
    ]


def _same_by_vector(services: Services, cells: list[Cell]) -> list[Same]:
    store = services.store()
    if store is None or len(store) < 2:
        return []
    known = {cell.id: cell for cell in cells}
    pairs = near_duplicates(store.stack())
    rows = [(store.cell_ids[a], store.cell_ids[b], cosine) for a, b, cosine in pairs]
    return [
        Same(first=a, second=b, found_by="embedding", likeness=cosine)
        for a, b, cosine in rows
        if a in known and b in known and not _overlap(known[a], known[b])
    ]


def _strange(services: Services, cells: list[Cell]) -> list[tuple[str, float]]:
    store, known = services.store(), {cell.id for cell in cells}
    found = [] if store is None else [(store.cell_ids[row], far) for row, far in strangers(store.stack())]
    return [(cell_id, far) for cell_id, far in found if cell_id in known]


def _overlap(first: Cell, second: Cell) -> bool:
    """Return whether two crops show the same place of one slide."""
    if first.slide_id != second.slide_id or None in (first.x, first.y, second.x, second.y):
        return False
    assert first.x is not None and first.y is not None and second.x is not None and second.y is not None  # noqa: PT018
    reach = _NEAR_UM / FALLBACK_MPP
    return abs(first.x - second.x) < reach and abs(first.y - second.y) < reach
