"""`quality`: focus, exposure and stain of the study's pictures; the same cell twice; odd slides."""

from pathlib import Path

import click

from app.commands.long import long_verb
from app.commands.output import ProgressBar, emit, home_option, json_option, table
from app.services import Services
from app.slide_quality import QUALITY_FILE, survey
from datasets.files import write_json
from datasets.told import told

_SHOWN = 20


@click.command()
@home_option
@json_option
@long_verb("quality", is_alone=True)
def quality(home: Path, as_json: bool) -> None:
    """Measure all pictures and list what stands out. Nothing is changed or deleted."""
    services = Services.open_existing(home)
    bar = ProgressBar("measure", "picture")
    try:
        report = survey(services, bar)
    finally:
        bar.close()
    write_json(home / QUALITY_FILE, report.to_json())
    rows = [(slide, q.foreground, q.focus, q.overexposed, q.red, q.green, q.blue) for slide, q in report.slides.items()]
    lines = table(("slide", "foreground", "focus", "overexposed", "red", "green", "blue"), rows[:_SHOWN])
    size = f"{len(report.slides)} slides, {len(report.cells)} cells"
    lines.append(f"{size}; {len(report.same)} pairs of cells look the same:")
    lines += [f"  {p.first} {p.second} ({p.found_by}, {p.likeness:.3f})" for p in report.same[:_SHOWN]]
    lines += [f"unlike the rest: {s}, {m} by {d:+.1f} deviations" for s, m, d in report.odd_slides[:_SHOWN]]
    lines += [f"cannot be read: {slide}: {reason}" for slide, reason in report.unreadable]
    emit(
        as_json,
        report.to_json(),
        lines,
        sentence=told("{slides} slides, {cells} cells measured.", slides=len(report.slides), cells=len(report.cells)),
    )
