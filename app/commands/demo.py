"""`demo`: the whole loop on drawn slides, ready to be tried."""

import json
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any

import click

from app.commands.output import emit, home_option, json_option, verb


@click.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, help="TCP port.")
@click.option("--headless", is_flag=True, help="Do not open a browser.")
@click.option("--fast", "is_fast", is_flag=True, help="A handful of slides and steps.")
@click.option("--prepare-only", is_flag=True, help="Make the study and tell its passwords; do not serve it.")
@home_option
@json_option
@verb
def demo(host: str, port: int, headless: bool, is_fast: bool, prepare_only: bool, home: Path, as_json: bool) -> None:
    """Draw slides, pretrain for about a minute, embed, and start the labelling page."""
    if prepare_only:
        _prepare(home, is_fast=is_fast, as_json=as_json)
        return
    made, url = _prepared(home, is_fast=is_fast), f"http://{host}:{port}"
    if as_json:
        click.echo(json.dumps({"url": url, "cells": made["cells"], "home": str(home)}))
    else:
        click.echo(f"\nCytoJEPA demonstration: {made['cells']} drawn cells\n\n  {url}\n\nSign in as")
        for name, password in made["passwords"].items():
            click.echo(f"  {name:8} {password}")
        click.echo("\nCtrl-C stops. Research use only: not a medical device.")
    from app import server  # Streamlit takes seconds to import; the preparation must not wait for it

    if not headless:
        webbrowser.open(url)
    server.run(home, host=host, port=port)


def _prepare(home: Path, *, is_fast: bool, as_json: bool) -> None:
    from app import demo as demonstration
    from datasets import catalog

    services = demonstration.prepare(home, is_fast=is_fast)
    made: dict[str, Any] = {
        "cells": catalog.counts(services.database).cells,
        "passwords": demonstration.passwords(home),
    }
    services.database.close()
    emit(as_json, made, [f"{made['cells']} drawn cells in {home}", *(f"{n} {p}" for n, p in made["passwords"].items())])


def _prepared(home: Path, *, is_fast: bool) -> dict[str, Any]:
    """Prepare in a process of its own: the one that serves needs none of the libraries that learn."""
    words = ["demo", "--prepare-only", "--json", "--home", str(home), *(["--fast"] if is_fast else [])]
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "app.cli", *words], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    made: dict[str, Any] = json.loads(done.stdout)
    return made
