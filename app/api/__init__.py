"""The routes below `/api/`: cells and pictures out, decisions in, acknowledged after the commit."""

from starlette.routing import Route

from app.api.cell_map import map_routes
from app.api.exports import export_routes
from app.api.gallery import gallery_routes
from app.api.labelling import labelling_routes
from app.api.pictures import picture_routes
from app.api.review import review_routes
from app.services import Services


def api_routes(services: Services) -> list[Route]:
    """Return all routes below `/api/`; the gate has checked the sign-in before any of them."""
    return [
        *labelling_routes(services),
        *picture_routes(services),
        *gallery_routes(services),
        *review_routes(services),
        *map_routes(services),
        *export_routes(services),
    ]
