"""The routes of the slide view: slides and their tiles out; cells on a slide, and the right to decide one."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import slide_cells
from app.api import web
from app.api.cells import asked_because, cell_row, label_row, suggestion_row
from app.api.pictures import FOR_EVER, missing
from app.api.web import BadRequest, allowed, guarded
from app.pictures import Pictures, scan_facts, tile_grid
from app.services import Services
from app.tiles import TILE_PX
from app.words import Words
from datasets import catalog, places
from datasets.catalog import Slide
from datasets.errors import UnreadableFile
from datasets.readers.base import SlideInfo
from labeling.leases import last_end

VIEWER = Path(__file__).parents[1] / "components" / "openseadragon" / "openseadragon.min.js"


def slide_routes(services: Services, pictures: Pictures) -> list[Route]:
    """Return the routes of the slide view."""
    api, cells = _Slides(services, pictures), _SlideCells(services)
    return [
        Route("/api/slides", guarded(api.slides)),
        Route("/api/slides/viewer.js", guarded(_viewer)),
        Route("/api/slides/{slide_id}/small", guarded(api.small)),
        Route("/api/slides/{slide_id}/tile/{level:int}/{column:int}/{row:int}", guarded(api.tile)),
        Route("/api/slide-cells/{slide_id}", guarded(cells.cells)),
        Route("/api/slide-cells/{slide_id}/claim", guarded(cells.claim), methods=["POST"]),
    ]


@cache
def _viewer_source() -> bytes:
    return VIEWER.read_bytes()


async def _viewer(_request: Request) -> Response:
    return Response(_viewer_source(), media_type="text/javascript", headers={"Cache-Control": FOR_EVER})


class _Slides:
    def __init__(self, services: Services, pictures: Pictures) -> None:
        self._services, self._pictures = services, pictures

    async def slides(self, request: Request) -> Response:
        rows = await run_in_threadpool(self._rows)
        cell = request.query_params.get("cell")
        place = await run_in_threadpool(places.place_of_cell, self._services.database, cell) if cell else None
        return JSONResponse({"slides": rows, "cell": place and {"slide": place.slide_id, "x": place.x, "y": place.y}})

    def _rows(self) -> list[web.Row]:
        database = self._services.database
        counts, infos = places.cell_counts(database), places.scan_infos(database)
        return [
            _slide_row(slide, scan_facts(infos.get(slide.id)), counts.get(slide.id, 0))
            for slide in catalog.slides_with_pictures(database)
        ]

    async def tile(self, request: Request) -> Response:
        path = request.path_params
        z_um = web.query_number(request, "z")
        return await _jpeg(
            partial(self._pictures.tile, path["slide_id"], path["level"], path["column"], path["row"], z_um=z_um)
        )

    async def small(self, request: Request) -> Response:
        return await _jpeg(partial(self._pictures.small, request.path_params["slide_id"]))


async def _jpeg(make: Callable[[], bytes | None]) -> Response:
    """Answer with a picture of a slide, or with the reason why there is none."""
    try:
        content = await run_in_threadpool(make)
    except UnreadableFile as error:
        return missing(f"This part of the slide cannot be read: {error.reason}.")
    except FileNotFoundError:
        return missing("The picture of this field is not where it was.")
    if content is None:
        return missing("There is no such picture.")
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": FOR_EVER})


def _slide_row(slide: Slide, info: SlideInfo | None, cells: int) -> web.Row:
    grid = tile_grid(slide, info)
    return {
        "slide": slide.id, "width": slide.width_px, "height": slide.height_px, "mpp": slide.mpp,
        "mpp_source": slide.mpp_source, "cells": cells, "tile": TILE_PX, "finest": grid.finest,
        "coarsest": grid.coarsest, "planes": list(info.z_um) if info else [0.0],
    }  # fmt: skip


class _SlideCells:
    def __init__(self, services: Services) -> None:
        self._services, self._mode = services, services.settings.suggestions

    async def cells(self, request: Request) -> Response:
        name = allowed(request, "label").name
        found = await run_in_threadpool(slide_cells.cells_of, self._services, name, request.path_params["slide_id"])
        cells, tr = found.cells, await web.words_of(self._services.database, request)
        guesses = None if found.guesses is None else [found.guesses.get(cell.id) for cell in cells]
        return JSONResponse({
            "cells": [cell.id for cell in cells],
            "x": [round(cell.x or 0.0, 1) for cell in cells], "y": [round(cell.y or 0.0, 1) for cell in cells],
            "radius_um": [round(found.radii_um.get(cell.id, 0.0), 2) for cell in cells],
            "planes": [found.planes_um.get(cell.id) for cell in cells] if found.planes_um else None,
            "answers": [
                label_row(found.own[cell.id], cell.crop_mpp, mode=self._mode, label_set=self._services.label_set,
                          tr=tr)
                for cell in cells if cell.id in found.own
            ],
            "guesses": guesses,
        })  # fmt: skip

    async def claim(self, request: Request) -> Response:
        name, body = allowed(request, "label").name, await web.json_body(request)
        tr = await web.words_of(self._services.database, request)
        cell_id = web.text_of(body if isinstance(body, dict) else {}, "cell")
        scales = await run_in_threadpool(catalog.crop_scales, self._services.database, [cell_id])
        if cell_id not in scales:
            raise BadRequest(f"cell {cell_id[:20]}: not in the catalogue; reload the page.")
        found = await run_in_threadpool(slide_cells.claim, self._services, name, cell_id)
        if found is None:
            return JSONResponse({"item": None, "reason": self._why_not(tr)})
        until = last_end(self._services.settings.lease_seconds).isoformat()
        return JSONResponse({"item": self._item(found, scales[cell_id], tr), "is_new": found.is_new, "until": until})

    def _why_not(self, tr: Words) -> str:
        return tr(
            "Colleagues have answered this cell or have it on screen. Answers wanted for each cell: {n}.",
            n=self._services.settings.reads,
        )

    def _item(self, found: slide_cells.Claimed, mpp: float | None, tr: Words) -> dict[str, Any]:
        item, settings = found.item, self._services.settings
        is_shown = self._mode == "shown" and item.may_show
        return {
            **cell_row(item.cell_id, mpp),
            "reason": asked_because(item.reason, settings.label_set, is_blind=self._mode != "shown", tr=tr),
            "suggestion": suggestion_row(item.suggestion, item.probability) if is_shown else None,
        }
