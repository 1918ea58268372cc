"""The routes below `/api/`: cells and pictures out, decisions in, acknowledged after the commit.

Below `/api/v1` lies what other programs use as well; beside it what only the pages need.
"""

from starlette.routing import BaseRoute, Mount

from app.api.cell_map import map_routes
from app.api.exports import export_routes
from app.api.gallery import gallery_routes
from app.api.pictures import picture_routes
from app.api.review import review_routes
from app.api.slide_words import slide_word_routes
from app.api.slides import slide_routes
from app.api.v1 import public_api
from app.pictures import Pictures
from app.services import Services
from app.sign_in import PUBLIC


def api_routes(services: Services, pictures: Pictures | None = None) -> list[BaseRoute]:
    """Return all routes below `/api/`; the gate has checked the sign-in before any of them."""
    pictures = pictures or Pictures(services)
    return [
        Mount(PUBLIC, public_api(services, pictures)),
        *picture_routes(services, pictures),
        *gallery_routes(services),
        *review_routes(services),
        *map_routes(services),
        *export_routes(services),
        *slide_routes(services, pictures),
        *slide_word_routes(services, pictures),
    ]
