"""`detect`: nuclei of slides and fields that nobody has marked."""

from pathlib import Path

import click

from app.commands.long import long_verb
from app.commands.output import ProgressBar, cluster_option, emit, home_option, json_option, workers_option
from app.many_slides import search_with
from app.services import Services
from app.workers import workers_for
from datasets.finding import find_cells
from datasets.nuclei import MOST_PER_MM2
from datasets.search_report import FindOptions
from datasets.told import told


@click.command()
@click.option("--slide", "slide_ids", multiple=True, metavar="ID", help="Only this slide, even if it has points.")
@click.option(
    "--most-per-mm2",
    type=click.FloatRange(min=1),
    metavar="N",
    help="At most so many nuclei for each mm2 of a tile, the surest.",
)
@click.option("--grid/--no-grid", "has_grid", default=True, show_default=True,
              help="Also offer stained places in which no nucleus was found.")  # fmt: skip
@workers_option
@cluster_option
@home_option
@json_option
@long_verb("detect", is_alone=True)
def detect(slide_ids: tuple[str, ...], most_per_mm2: float | None, has_grid: bool, workers: int, cluster: str | None,
           home: Path, as_json: bool) -> None:  # fmt: skip
    """Find nuclei where no points came with the file. Interrupt and rerun without harm."""
    services = Services.open_existing(home)
    options = FindOptions(side_um=services.settings.crop_um, side_px=services.settings.crop_px,
                          most_per_mm2=most_per_mm2, has_grid=has_grid)  # fmt: skip
    crew, wanted = workers_for(workers, cluster), slide_ids or None
    bar = ProgressBar("detect", "tile")
    try:
        if crew is None:
            report = find_cells(services.database, services.home, services.secret_key, options,
                                slide_ids=wanted, on_progress=bar)  # fmt: skip
        else:
            report = search_with(crew, services, options, wanted, bar)
    finally:
        bar.close()
    refused = [{"slide": slide, "reason": reason} for slide, reason in report.refused]
    result = {
        "slides": report.slides, "cells": report.cells, "grid": report.grid,
        "crowded": report.crowded, "seconds": round(report.seconds, 2),
        "area_mm2": round(report.area_mm2, 3), "refused": refused,
        "odd": [{"slide": slide, "told": why} for slide, why in report.odd],
    }  # fmt: skip
    facts = {"cells": report.cells, "slides": report.slides, "area": report.area_mm2, "seconds": report.seconds}
    odd = len({slide for slide, _ in report.odd})
    lines: list[str] = [
        told("{cells} new cells on {slides} slides, {area:.2f} mm2, {seconds:.1f} s; {odd} slides have tiles that were "
             "taken for noise or are dark: look at them", odd=odd, **facts)
        if odd else told("{cells} new cells on {slides} slides, {area:.2f} mm2, {seconds:.1f} s", **facts)
    ]  # fmt: skip
    if report.grid:
        lines.append(f"{report.grid} of them are stained places without a found nucleus: look whether one was missed.")
    if report.crowded:
        lines.append(f"{report.crowded} tiles hold more dark spots than a smear has nuclei ({MOST_PER_MM2:,} for each "
                     "mm2): dust, print or noise? Only the surest were taken.")  # fmt: skip
    lines += [f"{slide}: {why}. Nothing was taken from them: look at the slide." for slide, why in report.odd]
    lines += [f"not searched {item['slide']}: {item['reason']}" for item in refused]
    lines.append("A found nucleus is a place to look at. What was not found may still be there.")
    emit(as_json, result, lines)
