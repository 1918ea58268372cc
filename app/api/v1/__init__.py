"""The routes below `/api/v1`: the same ones for the labelling pages and for other programs.

A page comes with its cookie and the token of its sign-in, a program with a token of its own in the
header `Authorization: Bearer ...`; the gate before all routes has checked either. What they answer is
described by the OpenAPI document at `/api/v1/openapi.json`.
"""

from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.v1.answers import ALWAYS, Route, tell_refusals
from app.api.v1.cells import add_cells
from app.api.v1.export import add_export
from app.api.v1.labelling import add_labelling
from app.api.v1.study import add_study
from app.pictures import Pictures
from app.services import Services
from app.sign_in import MOST_BYTES, PUBLIC
from labeling.counting import ProgressCounter

_DESCRIPTION = """Cells out, labels in, for programs that work beside the doctors.

Every request needs a token: `Authorization: Bearer cytojepa_...`. An admin makes one for an account with
`cytojepa users token add ACCOUNT PURPOSE` or on the Team page; it is shown once, ends by itself, may what the
account's role may at that moment, and ends with the account. Labels that a program stores name its token
in the study's chain of events.

A refused request is answered with an object `{"error": "..."}`: 400 it makes no sense, 401 no valid token,
403 the role may not do this, 404 there is no such thing, 429 later.

Research use only: not a medical device, no result about a patient."""
_TAGS = [
    {"name": "labelling", "description": "The worklist and the labels, as the labelling pages use them."},
    {"name": "cells", "description": "Which cells there are, and their pictures."},
    {"name": "study", "description": "What the study is, and what its probe says."},
    {"name": "export", "description": "Labels as a file."},
]
_BEARER = HTTPBearer(auto_error=False, description="A token of `cytojepa users token add`.")


def _told(_token: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
    """Say in the document that a token is needed; it is the gate that asks for it."""


def public_api(services: Services, pictures: Pictures | None = None) -> FastAPI:
    """Build the application that is mounted at `/api/v1`.

    Args:
        services: The open workspace.
        pictures: Its pictures; None: some of its own.
    """
    app = FastAPI(
        title="CytoJEPA", version=version("cytojepa"), description=_DESCRIPTION, openapi_tags=_TAGS,
        servers=[{"url": PUBLIC}], openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        max_body_size=MOST_BYTES, responses=ALWAYS, dependencies=[Depends(_told)],
    )  # fmt: skip
    app.router.route_class = Route
    counter = ProgressCounter(services.database)
    add_study(app.router, services, counter)
    add_labelling(app.router, services, counter)
    add_export(app.router, services)
    add_cells(app.router, services, pictures or Pictures(services))
    tell_refusals(app)

    async def document() -> JSONResponse:
        """Return the OpenAPI document."""
        return JSONResponse(openapi_document(app))

    app.router.add_api_route("/openapi.json", document, include_in_schema=False)
    return app


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; what makes no sense is answered with 400 here, not with 422."""
    document = app.openapi()
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document
