"""`serve`: the labelling application."""

from pathlib import Path

import click

from app.commands.output import home_option, verb
from app.services import Services
from labeling import accounts


@click.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on; 127.0.0.1 is this machine only.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, help="TCP port.")
@home_option
@verb
def serve(host: str, port: int, home: Path) -> None:
    """Start the labelling application."""
    from app import (
        server,
    )  # Streamlit takes seconds to import; a wrong option should not wait for it

    services = Services.open(home)
    if not accounts.list_accounts(services.database):
        click.echo("No account yet. Make the first: cytojepa users add NAME --role admin", err=True)
    services.database.close()
    click.echo(f"CytoJEPA on http://{host}:{port} (Ctrl-C stops)", err=True)
    server.run(home, host=host, port=port)
