"""`api`: what other programs can ask of a study, in a form that they read."""

import json
import tempfile
from pathlib import Path

import click

from app.commands.output import verb


@click.command()
@click.option("--schema", is_flag=True, required=True, help="Print the OpenAPI document of /api/v1.")
@verb
def api(schema: bool) -> None:
    """Print the OpenAPI document of the HTTP API, as a server answers it at /api/v1/openapi.json."""
    from app.api.v1 import openapi_document, public_api  # seconds of imports; other verbs need none of it
    from app.services import Services

    with tempfile.TemporaryDirectory(prefix="cytojepa-api-") as folder:
        services = Services.open(Path(folder) / "home")
        try:
            click.echo(json.dumps(openapi_document(public_api(services)), indent=2))
        finally:
            services.database.close()
