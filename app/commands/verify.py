"""`verify`: was anything of the past changed, is anything damaged?"""

from dataclasses import asdict
from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, verb
from app.inspection import Findings, inspect_study
from app.services import Services
from datasets.errors import DatasetError


@click.command()
@click.option(
    "--anchors", "anchors", multiple=True, metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A copy of anchors.txt that was kept elsewhere; may be given more than once.",
)  # fmt: skip
@home_option
@json_option
@verb
def verify(anchors: tuple[Path, ...], home: Path, as_json: bool) -> None:
    """Check chain of events, database, vectors and pictures. Exit code 1 when something is wrong."""
    findings = _inspect(home, anchors)
    lines = list(findings.problems) or [f"{findings.events} events, all as they were stored. Head {findings.head}"]
    emit(as_json, asdict(findings), [*lines, *findings.notes])
    if not findings.ok:
        raise SystemExit(1)


def _inspect(home: Path, anchors: tuple[Path, ...]) -> Findings:
    try:
        services = Services.open_existing(home)
    except DatasetError as error:
        return Findings(ok=False, events=0, head="", problems=(str(error),))
    try:
        return inspect_study(services, anchors)
    finally:
        services.database.close()
