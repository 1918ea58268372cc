"""`ingest`: files into the catalogue."""

from collections import Counter
from pathlib import Path

import click

from app.commands.long import long_verb
from app.commands.output import ProgressBar, cluster_option, emit, home_option, json_option, shown, workers_option
from app.intake import adopt_label_set, take_in
from app.services import Services
from app.workers import workers_for
from datasets.geojson_points import with_points
from datasets.public import plan
from datasets.stacks import as_stacks
from datasets.told import told

_SHOWN_REFUSALS = 20


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--layout",
    type=click.Choice(["auto", "cells", "cric", "slides"]),
    default="auto",
    help="cells: class-named folders; cric: pictures and a table of points; slides: fields.",
)
@click.option("--points", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="GeoJSON of labelled points in the one slide that is given.")  # fmt: skip
@click.option("--mpp", type=float, help="Micrometres per pixel of files that do not tell.")
@click.option("--mpp-wins", is_flag=True,
              help="--mpp also for scans whose file tells another scale; each is told.")  # fmt: skip
@click.option("--stack", "step_um", type=float, metavar="UM",
              help="The pictures of each folder are planes of one field, so many um apart, lowest first.")  # fmt: skip
@click.option("--copy", "is_copied", is_flag=True,
              help="Make clean copies of scans in the study: levels only, no label picture, no text.")  # fmt: skip
@click.option("--move", "is_moved", is_flag=True,
              help="As --copy; then remove the originals of which every pixel is in the copy.")  # fmt: skip
@workers_option
@cluster_option
@home_option
@json_option
@long_verb("ingest")
def ingest(paths: tuple[Path, ...], layout: str, points: Path | None, mpp: float | None, mpp_wins: bool,
           step_um: float | None, is_copied: bool, is_moved: bool, workers: int, cluster: str | None, home: Path,
           as_json: bool) -> None:  # fmt: skip
    """Take files into the catalogue. Running it again changes nothing."""
    if points is not None and len(paths) != 1:
        raise click.UsageError("--points goes with one slide.")
    if mpp_wins and mpp is None:
        raise click.UsageError("--mpp-wins goes with --mpp.")
    services, crew = Services.open(home), workers_for(workers, cluster)
    totals = {"slides": 0, "cells": 0, "labels": 0}
    refused: list[dict[str, str]] = []
    notes: list[dict[str, str]] = []
    removed: Counter[str] = Counter()
    for path in paths:
        found = plan(path, layout)  # type: ignore[arg-type]  # click.Choice has checked it
        if step_um is not None:
            found = as_stacks(found, step_um)
        if points is not None:
            found = with_points(found, points)
        services, sentence = adopt_label_set(services, found)
        bar = ProgressBar(f"ingest {shown(path.name)}", "file")
        try:
            intake = take_in(services, found, mpp=mpp, mpp_wins=mpp_wins, on_progress=bar, workers=crew,
                             keep="move" if is_moved else "copy" if is_copied else "refer")  # fmt: skip
        finally:
            bar.close()
        totals["slides"] += intake.report.slides
        totals["cells"] += intake.report.cells
        totals["labels"] += intake.labels
        refused += [{"path": str(file), "reason": reason} for file, reason in intake.report.refused]
        notes += [{"path": str(file), "note": note} for file, note in intake.report.notes]
        removed.update(intake.report.removed)
        for note in filter(None, (sentence, *intake.notes)):
            click.echo(note, err=True)
    lines: list[str] = [told("{slides} slides, {cells} cells, {labels} labels are new.", **totals)]
    lines += [f"refused {shown(item['path'])}: {shown(item['reason'])}" for item in refused[:_SHOWN_REFUSALS]]
    if len(refused) > _SHOWN_REFUSALS:
        lines.append(f"... and {len(refused) - _SHOWN_REFUSALS} more (--json lists all).")
    lines += [f"{shown(item['path'])}: {shown(item['note'])}" for item in notes]
    if removed:
        lines.append(f"Left behind, in so many slides: {kinds_left_behind(removed)}.")
    emit(as_json, {**totals, "refused": refused, "notes": notes, "removed": dict(removed)}, lines)


def kinds_left_behind(removed: Counter[str]) -> str:
    """Return what was left behind; of DICOM's many attributes only how many they are."""
    attributes = [kind for kind in removed if kind.startswith("DICOM ")]
    kinds = [f"{kind} ({count})" for kind, count in sorted(removed.items()) if kind not in attributes]
    if attributes:
        most = max(removed[kind] for kind in attributes)
        kinds.append(f"{len(attributes)} attributes of DICOM headers ({most}; --json names them)")
    return ", ".join(kinds)
