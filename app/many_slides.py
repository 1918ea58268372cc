"""Ingest and search of many files and slides by several workers: cut the work, add up what was done."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.services import Services
from app.workers import Workers
from datasets.files import is_dicom
from datasets.finding import find_cells, slides_to_search
from datasets.ingest import ingest
from datasets.intake_report import IngestOptions, IngestReport
from datasets.public import Plan
from datasets.search_report import FindOptions, FindReport
from datasets.search_tiles import count_tiles

_PARTS_PER_CALL = 64
"""Files that a worker takes at a time: few enough to be lost with it, many enough to pay for opening the study."""

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _IngestPart:
    home: Path
    plan: Plan
    options: IngestOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class _SearchPart:
    home: Path
    slide_id: str
    options: FindOptions


def ingest_with(
    workers: Workers, services: Services, plan: Plan, options: IngestOptions, on_progress: OnProgress
) -> IngestReport:
    """Ingest a plan in parts, as `datasets.ingest.ingest` does it whole.

    A picture that is there twice comes in once, but is only told where both files fall into one part.

    Args:
        workers: Where the parts are taken in.
        services: The open workspace.
        plan: From `datasets.public.plan`.
        options: Crop size and scale.
        on_progress: Called with (files done, files in all).

    Raises:
        DatasetError: As of `ingest`, and when workers die again and again.
    """
    parts = [_IngestPart(home=services.home, plan=part, options=options) for part in _parts(plan)]
    report = IngestReport(refused=list(plan.refused))
    done, total = 0, _count(plan)
    for files, part in workers.run(_ingest_part, parts):
        report.add(part)
        done += files
        on_progress(done, total)
    for listed in (report.labels, report.refused, report.notes):
        listed.sort()
    return report


def search_with(
    workers: Workers, services: Services, options: FindOptions, slide_ids: Sequence[str] | None, on_progress: OnProgress
) -> FindReport:
    """Find the nuclei of many slides, a slide for each worker; the same as `datasets.finding.find_cells`.

    Args:
        workers: Where slides are searched.
        services: The open workspace.
        options: Size of crops, most cells.
        slide_ids: As of `find_cells`.
        on_progress: Called with (tiles done, tiles in all); moves when a slide is done.

    Raises:
        DatasetError: A named slide is not in the catalogue, or workers die again and again.
    """
    started, report = time.monotonic(), FindReport()
    slides = sorted(slides_to_search(services.database, slide_ids), key=count_tiles, reverse=True)
    tiles = {slide.id: count_tiles(slide) for slide in slides}
    parts = [_SearchPart(home=services.home, slide_id=slide.id, options=options) for slide in slides]
    done = 0
    for slide_id, part in workers.run(_search_part, parts):
        report.add(part)
        done += tiles[slide_id]
        on_progress(done, sum(tiles.values()))
    report.seconds = time.monotonic() - started
    return report


def _count(plan: Plan) -> int:
    return len(plan.cells) + len(plan.fields) + len(plan.stacks)


def _parts(plan: Plan) -> Iterator[Plan]:
    """Cut a plan so that what belongs together stays so: the instances of a DICOM slide, and equal files."""
    for start in range(0, len(plan.cells), _PARTS_PER_CALL):
        yield replace(plan, cells=plan.cells[start : start + _PARTS_PER_CALL], fields=(), stacks=(), refused=())
    folders: dict[Path, list[int]] = {}
    for number, file in enumerate(plan.fields):
        folders.setdefault(file.path.parent, []).append(number)
    for numbers in folders.values():
        is_bundle = plan.layout == "slides" and any(is_dicom(plan.fields[n].path) for n in numbers)
        size = len(numbers) if is_bundle else 1 if plan.layout == "slides" else 8
        for start in range(0, len(numbers), size):
            files = tuple(plan.fields[n] for n in numbers[start : start + size])
            yield replace(plan, cells=(), fields=files, stacks=(), refused=())
    for stack in plan.stacks:
        yield replace(plan, cells=(), fields=(), stacks=(stack,), refused=())


def _ingest_part(part: _IngestPart) -> tuple[int, IngestReport]:
    services = Services.open(part.home)
    report = ingest(services.database, services.home, services.secret_key, part.plan, part.options)
    return _count(part.plan), report


def _search_part(part: _SearchPart) -> tuple[str, FindReport]:
    services = Services.open(part.home)
    report = find_cells(services.database, services.home, services.secret_key, part.options, slide_ids=[part.slide_id])
    return part.slide_id, report
