"""`doctor`: state and remedy, one line each."""

from dataclasses import asdict
from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, verb
from app.doctor import run_checks


@click.command()
@home_option
@json_option
@verb
def doctor(home: Path, as_json: bool) -> None:
    """Check this machine and this workspace. Exit code 1 when something stands in the way."""
    checks = run_checks(home)
    lines = [f"{'ok  ' if c.ok else 'MEND'}  {c.name}" + ("" if c.ok else f"\n      {c.remedy}") for c in checks]
    emit(as_json, {"checks": [asdict(check) for check in checks]}, lines)
    if not all(check.ok for check in checks):
        raise SystemExit(1)
