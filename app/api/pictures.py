"""Pictures out: a cell's crop, its wider field, and many crops as one sprite atlas."""

import hashlib

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api import web
from app.api.web import BadRequest, guarded
from app.pictures import ATLAS_COLUMNS, MOST_TILES, TILE_SIDES_PX, WIDE_FACTOR, Pictures
from app.services import Services
from datasets import catalog

FOR_EVER = "private, max-age=31536000, immutable"
"""For what is named by its content."""


def picture_routes(services: Services, pictures: Pictures) -> list[Route]:
    """Return the routes of the pictures."""
    api = _PictureRoutes(services, pictures)
    return [
        Route("/api/cells/{cell_id}/image", guarded(api.image)),
        Route("/api/cells/{cell_id}/wide", guarded(api.wide)),
        Route("/api/atlas", guarded(api.atlas)),
    ]


class _PictureRoutes:
    def __init__(self, services: Services, pictures: Pictures) -> None:
        self._services, self._pictures = services, pictures

    async def image(self, request: Request) -> Response:
        cell_id = request.path_params["cell_id"]
        # The catalogue decides what is a cell: no path is ever made of what a browser sent.
        known = await run_in_threadpool(catalog.crop_scales, self._services.database, [cell_id])
        if cell_id in known and "z" in request.query_params:
            return await self._plane(cell_id, web.query_number(request, "z"))
        path = catalog.crop_path(self._services.home, cell_id) if cell_id in known else None
        if path is None or not path.exists():
            return missing("There is no such cell.")
        content = await run_in_threadpool(path.read_bytes)
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": FOR_EVER}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="image/png", headers=headers)

    async def _plane(self, cell_id: str, z_um: float) -> Response:
        content = await run_in_threadpool(self._pictures.plane, cell_id, z_um)
        if content is None:
            return missing("This focal plane of the cell cannot be read.")
        return Response(content, media_type="image/png", headers={"Cache-Control": FOR_EVER})

    async def wide(self, request: Request) -> Response:
        content = await run_in_threadpool(self._pictures.wide, request.path_params["cell_id"])
        if content is None:
            return missing("No wider field of this cell is kept: it came as a picture of one cell.")
        headers = {"Cache-Control": FOR_EVER, "X-Wide-Factor": str(WIDE_FACTOR)}
        return Response(content, media_type="image/jpeg", headers=headers)

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
