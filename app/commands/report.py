"""`report`: the study's figures as one HTML file."""

from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, verb
from app.services import Services
from app.study_report import limits, write_report


@click.command()
@click.argument("out", metavar="OUT.html", type=click.Path(path_type=Path, dir_okay=False))
@home_option
@json_option
@verb
def report(out: Path, home: Path, as_json: bool) -> None:
    """Write who labelled what, agreement, what the labels bought, calibration and limits. Prints well."""
    services = Services.open_existing(home)
    found = write_report(services, out)
    services.database.close()
    labels = sum(sum(work.categories.values()) for work in found.doctors.values())
    result = {"file": str(out), "labels": labels, "doctors": len(found.doctors), "events": found.events,
              "head": found.head, "limits": list(limits(found))}  # fmt: skip
    emit(as_json, result, [f"{labels} labels of {len(found.doctors)} doctors to {out}"])
