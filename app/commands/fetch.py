"""`fetch`: a public set's archive, checked and unpacked. The only verb that connects out."""

from pathlib import Path

import click

from app.commands.output import ProgressBar, emit, json_option, verb
from app.fetching import fetch as fetch_set
from app.fetching import set_named


@click.command()
@click.argument("name", metavar="SET")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--url", "address", default="", help="Of the archive, where you know a better one.")
@click.option("--sha256", default="", help="What the archive must be; needed where no sum is known here.")
@json_option
@verb
def fetch(name: str, folder: Path, address: str, sha256: str, as_json: bool) -> None:
    """Fetch a public set, check its SHA-256 and unpack it."""
    public = set_named(name)
    click.echo(f"{public.name}: {public.citation} Terms: {public.terms}. {public.page}", err=True)
    bar = ProgressBar(f"fetch {public.name}", "byte")
    try:
        place, files = fetch_set(public, folder, address=address, sha256=sha256, on_bytes=bar)
    finally:
        bar.close()
    lines = [f"{files} files in {place}; next: cytojepa ingest {place}"]
    emit(as_json, {"set": public.name, "folder": str(place), "files": files}, lines)
