"""`exemplars`: an atlas comes in, as cells that show each category well."""

from dataclasses import asdict
from pathlib import Path

import click

from app.commands.output import ProgressBar, emit, home_option, json_option, verb
from app.intake import atlas_from_files
from app.services import Services
from labeling.exemplars import AtlasReport, add_atlas
from labeling.imports import cells_of_file

_SHOWN_REFUSALS = 20
_LONGEST_NAME = 60


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--name", default="atlas", metavar="NAME", help="What the atlas is called on the pages.")
@click.option("--mpp", type=float, help="Scale of a folder's pictures in um/px.")
@home_option
@json_option
@verb
def exemplars(source: Path, name: str, mpp: float | None, home: Path, as_json: bool) -> None:
    """Take an atlas in: class-named folders, or a table of this study's cells with their category.

    Its cells teach the probe and stand beside the criteria; no doctor is asked about them. Run `cytojepa embed`
    afterwards. Running it again changes nothing.
    """
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise click.UsageError(f"--name: at most {_LONGEST_NAME} visible characters.")
    services = Services.open_existing(home)
    bar = ProgressBar("atlas", "file")
    try:
        if source.is_dir():
            cells, refused = atlas_from_files(services, source, mpp=mpp, on_progress=bar)
        else:
            cells, refused = cells_of_file(services.database, source, label_set=services.label_set)
        report = add_atlas(services.database, name, cells, label_set=services.label_set)
    finally:
        bar.close()
        services.database.close()
    report.refused[:0] = refused
    emit(as_json, asdict(report), _lines(report))


def _lines(report: AtlasReport) -> list[str]:
    lines = [f"{report.new} exemplars are new, {report.known} were known, {len(report.refused)} were refused."]
    lines += [f"refused {what}: {reason}" for what, reason in report.refused[:_SHOWN_REFUSALS]]
    if len(report.refused) > _SHOWN_REFUSALS:
        lines.append(f"... and {len(report.refused) - _SHOWN_REFUSALS} more (--json lists all).")
    return lines
