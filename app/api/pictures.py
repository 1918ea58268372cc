"""Many crops as one sprite atlas, for the gallery."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.api import web
from app.api.web import BadRequest, guarded
from app.pictures import ATLAS_COLUMNS, MOST_TILES, TILE_SIDES_PX, Pictures
from app.services import Services

_FOR_EVER = "private, max-age=31536000, immutable"


def picture_routes(services: Services) -> list[Route]:
    """Return the routes of the pictures."""
    api = _PictureRoutes(services)
    return [Route("/api/atlas", guarded(api.atlas))]


class _PictureRoutes:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._pictures = Pictures(services)

    async def atlas(self, request: Request) -> Response:
        cell_ids = web.id_list(request, "cells", most=MOST_TILES)
        side_px = web.whole_number(request, "side", default=TILE_SIDES_PX[0], most=max(TILE_SIDES_PX))
        if side_px not in TILE_SIDES_PX or not cell_ids:
            raise BadRequest(f"name 1 to {MOST_TILES} cells and a side of {', '.join(map(str, TILE_SIDES_PX))}.")
        content = await run_in_threadpool(self._pictures.atlas, cell_ids, side_px)
        headers = {"Cache-Control": _FOR_EVER, "X-Atlas-Columns": str(ATLAS_COLUMNS)}
        return Response(content, media_type="image/jpeg", headers=headers)
