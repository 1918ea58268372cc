"""`import`: labels from files of other programs, or of another study."""

from pathlib import Path

import click

from app.commands.output import ProgressBar, emit, home_option, json_option, verb
from app.services import Services
from labeling.imports import import_file

_SHOWN_REFUSALS = 20


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--annotator", metavar="NAME", help="Whose labels they become [default: as the file says].")
@home_option
@json_option
@verb
def import_(file: Path, annotator: str | None, home: Path, as_json: bool) -> None:
    """Take labels in from what `export` writes, and from tables and folders of others. Again changes nothing."""
    services = Services.open_existing(home)
    bar = ProgressBar("import", "row")
    try:
        report = import_file(
            services.database, file, label_set=services.label_set, annotator=annotator, secret_key=services.secret_key,
            on_progress=lambda done: bar(done, done),
        )  # fmt: skip
    finally:
        bar.close()
        services.database.close()
    refused = [{"row": where, "reason": reason} for where, reason in report.refused]
    lines = [f"{report.labels} labels are new, {report.known} were known, {len(refused)} were refused."]
    if report.said:
        lines.append(f"{report.said} opinions on slides and verdicts are new.")
    if report.derived:
        lines.append(f"{report.derived} reference labels were left out: they follow from the labels.")
    if report.left_out:
        columns = ", ".join(f"{name} ({rows} rows)" for name, rows in sorted(report.left_out.items()))
        lines.append(f"not taken in, because a label has no place for it: {columns}.")
    lines += [f"refused {item['row']}: {item['reason']}" for item in refused[:_SHOWN_REFUSALS]]
    if len(refused) > _SHOWN_REFUSALS:
        lines.append(f"... and {len(refused) - _SHOWN_REFUSALS} more (--json lists all).")
    result = {
        "labels": report.labels, "known": report.known, "said": report.said, "reference_rows": report.derived,
        "refused": refused, "left_out": dict(sorted(report.left_out.items())),
    }  # fmt: skip
    emit(as_json, result, lines)
