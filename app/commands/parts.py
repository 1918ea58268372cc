"""`parts`: the libraries of this installation, their licences, and what is known to be wrong with them."""

from dataclasses import asdict
from pathlib import Path

import click

from app.commands.output import emit, json_option, table, verb
from app.parts import known_vulnerabilities, parts_of
from datasets.db import utc_now


@click.group()
def parts() -> None:
    """Libraries, licences, known vulnerabilities. Connects to nothing."""


@parts.command()
@json_option
@verb
def licences(as_json: bool) -> None:
    """List all libraries with their licences. Exit code 1 when one is GPL or AGPL."""
    found = parts_of()
    bad = [part.name for part in found if part.is_copyleft]
    lines = table(("library", "version", "licence"), [(p.name, p.version, p.licence) for p in found])
    lines += [f"GPL or AGPL: {', '.join(bad)}. It would bind the whole program."] if bad else []
    emit(as_json, {"parts": [asdict(part) for part in found], "copyleft": bad}, lines)
    if bad:
        raise SystemExit(1)


@parts.command()
@click.argument("export", type=click.Path(path_type=Path, exists=True))
@click.option("--accept", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="TOML: [ID] with until and reason, for what does not matter here.")  # fmt: skip
@click.option("--oldest-days", type=click.IntRange(min=1), default=30, help="Refuse an older list.")
@json_option
@verb
def vulnerabilities(export: Path, accept: Path | None, oldest_days: int, as_json: bool) -> None:
    """Hold all libraries against EXPORT, PyPI/all.zip of osv.dev. Exit code 1: one is known, or the list is old."""
    found, now = parts_of(), utc_now()
    answer = known_vulnerabilities(found, export, accept, today=now.date())
    age = answer.age_days(now)
    open_ones = [finding for finding in answer.findings if not finding.accepted]
    lines = [
        f"{f.part.name} {f.part.version}: {f.id}, {f.summary or 'no summary'}; "
        + (f"accepted: {f.accepted}" if f.accepted else f"fixed in {', '.join(f.fixed) or 'no version yet'}")
        for f in answer.findings
    ]
    lines.append(f"{len(open_ones)} open of {len(answer.findings)} known in {len(found)} libraries.")
    lines.append(f"The list ends at {answer.newest:%Y-%m-%d}: {age} days old, {answer.entries} entries.")
    if age > oldest_days:
        lines.append(f"Older than {oldest_days} days: what became known since then is missing. Bring a new one.")
    rows = [asdict(finding) for finding in answer.findings]
    emit(
        as_json, {"findings": rows, "open": len(open_ones), "newest": answer.newest.isoformat(), "age_days": age}, lines
    )
    if open_ones or age > oldest_days:
        raise SystemExit(1)
