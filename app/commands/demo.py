"""`demo`: the whole loop on drawn slides, ready to be tried."""

import json
import webbrowser
from pathlib import Path

import click

from app import demo as demonstration
from app.commands.output import home_option, json_option, verb
from datasets import catalog


@click.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501)
@click.option("--headless", is_flag=True, help="Do not open a browser.")
@click.option("--fast", "is_fast", is_flag=True, help="A handful of slides and steps.")
@home_option
@json_option
@verb
def demo(host: str, port: int, headless: bool, is_fast: bool, home: Path, as_json: bool) -> None:
    """Draw slides, pretrain for about a minute, embed, and start the labelling page."""
    services = demonstration.prepare(home, is_fast=is_fast)
    url, cells = f"http://{host}:{port}", catalog.counts(services.database).cells
    services.database.close()
    if as_json:
        click.echo(json.dumps({"url": url, "cells": cells, "home": str(home)}))
    else:
        click.echo(f"\nCytoJEPA demonstration: {cells} drawn cells\n\n  {url}\n\nSign in as")
        for name, password in demonstration.passwords(home).items():
            click.echo(f"  {name:8} {password}")
        click.echo("\nCtrl-C stops. Research use only: not a medical device.")
    from app import (
        server,
    )  # Streamlit takes seconds to import; the preparation must not wait for it

    if not headless:
        webbrowser.open(url)
    server.run(home, host=host, port=port)
