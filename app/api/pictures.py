"""Many crops as one sprite atlas, for the gallery."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api import web
from app.api.web import BadRequest, guarded
from app.pictures import ATLAS_COLUMNS, MOST_TILES, TILE_SIDES_PX, Pictures
from app.services import Services

FOR_EVER = "private, max-age=31536000, immutable"
"""For what is named by its content."""


def picture_routes(services: Services, pictures: Pictures) -> list[Route]:
    """Return the routes of the pictures."""
    api = _PictureRoutes(services, pictures)
    return [Route("/api/atlas", guarded(api.atlas))]


class _PictureRoutes:
    def __init__(self, services: Services, pictures: Pictures) -> None:
        self._services, self._pictures = services, pictures

    async def atlas(self, request: Request) -> Response:
        cell_ids = web.id_list(request, "cells", most=MOST_TILES)
        side_px = web.whole_number(request, "side", default=TILE_SIDES_PX[0], most=max(TILE_SIDES_PX))
        if side_px not in TILE_SIDES_PX or not cell_ids:
            raise BadRequest(f"name 1 to {MOST_TILES} cells and a side of {', '.join(map(str, TILE_SIDES_PX))}.")
        content = await run_in_threadpool(self._pictures.atlas, cell_ids, side_px)
        headers = {"Cache-Control": FOR_EVER, "X-Atlas-Columns": str(ATLAS_COLUMNS)}
        return Response(content, media_type="image/jpeg", headers=headers)


def missing(sentence: str) -> Response:
    """Answer that something is not there."""
    return JSONResponse({"error": sentence}, 404)
