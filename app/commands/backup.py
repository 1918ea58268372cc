"""`backup` and `restore`: a study in one file, and back."""

from dataclasses import asdict
from pathlib import Path

import click

from app.archive import OPTIONAL, write_backup
from app.commands.output import ProgressBar, emit, home_option, json_option, verb
from app.restoring import restore_backup
from app.services import Services
from app.settings import BUILT_IN


@click.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--without-key", is_flag=True, help="Leave the secret key out; keep it elsewhere for the restore.")
@click.option(
    "--leave-out", multiple=True, type=click.Choice(OPTIONAL), help="Large folders that are kept by other means."
)
@home_option
@json_option
@verb
def backup(out: Path, without_key: bool, leave_out: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Write the whole study into one file, also while doctors label; the copy is opened and checked."""
    services = Services.open_existing(home)
    bar = ProgressBar("backup", "file")
    try:
        report = write_backup(services, out, with_key=not without_key, leave_out=leave_out, on_progress=bar)
    finally:
        bar.close()
        services.database.close()
    result = {**asdict(report), "problems": list(report.problems), "file": str(out)}
    lines = [f"{report.events} events, {report.files} files, {report.bytes / 1e6:.1f} MB in {out}. Head {report.head}"]
    lines += ["Anybody who has this file has the study" + ("." if without_key else " and its secret key.")]
    emit(as_json, result, [*lines, *report.problems])
    if not report.ok:
        raise SystemExit(1)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--key", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The study's secret.key, for a backup that was made without it.",
)  # fmt: skip
@click.option(
    "--database", metavar="URL", default=BUILT_IN,
    help="An empty PostgreSQL database for the rows, as postgresql://account@host/name [default: in the folder].",
)  # fmt: skip
@home_option
@json_option
@verb
def restore(file: Path, key: Path | None, database: str, home: Path, as_json: bool) -> None:
    """Unpack a backup into an empty folder; checked before anything appears there."""
    bar = ProgressBar("restore", "file")
    try:
        findings = restore_backup(file, home, key=key, database=database, on_progress=bar)
    finally:
        bar.close()
    lines = [f"{findings.events} events, all as they were stored, in {home}. Head {findings.head}"]
    problems = [*findings.problems, "Nothing was restored."]
    emit(as_json, asdict(findings), [*lines, *findings.notes] if findings.ok else problems)
    if not findings.ok:
        raise SystemExit(1)
