"""The routes below `/api/`: cells and pictures out, decisions in, acknowledged after the commit."""

from starlette.routing import Route

from app.api.cell_map import map_routes
from app.api.gallery import gallery_routes
from app.api.labelling import labelling_routes
from app.api.pictures import picture_routes
from app.api.review import review_routes
from app.api.slide_words import slide_word_routes
from app.api.slides import slide_routes
from app.pictures import Pictures
from app.services import Services


def api_routes(services: Services, pictures: Pictures) -> list[Route]:
    """Return all routes below `/api/`; the gate has checked the sign-in before any of them."""
    return [
        *labelling_routes(services),
        *picture_routes(services, pictures),
        *gallery_routes(services),
        *review_routes(services),
        *map_routes(services),
        *slide_routes(services, pictures),
        *slide_word_routes(services, pictures),
    ]
