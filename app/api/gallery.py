"""The routes of the gallery and of the reference cells."""

from typing import cast, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api import web
from app.api.cells import cell_row, suggestion_row
from app.api.web import BadRequest, Forbidden, allowed, guarded
from app.pictures import MOST_TILES
from app.services import Services
from app.similar import GalleryPage, Order, Wanted, chosen_page, gallery_page
from datasets import catalog
from labeling import adjudication, exemplars
from labeling.errors import LabelRefused
from labeling.leases import last_end

_MOST_HELD = 400
_REFERENCES = 4


def gallery_routes(services: Services) -> list[Route]:
    """Return the routes of the gallery."""
    api = _Gallery(services)
    return [
        Route("/api/gallery", guarded(api.page)),
        Route("/api/references", guarded(api.references)),
        Route("/api/exemplars", guarded(api.exemplar), methods=["POST"]),
    ]


class _Gallery:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def page(self, request: Request) -> Response:
        found = await run_in_threadpool(self._found, request)
        until = last_end(self._services.settings.lease_seconds).isoformat()
        scales = await run_in_threadpool(catalog.crop_scales, self._services.database, list(found.cell_ids))
        # Blind first: a page grouped by suggestion would tell it before the answer.
        table = found.suggestions if self._services.settings.suggestions == "shown" else None
        rows = [
            {
                **cell_row(cell_id, scales.get(cell_id)),
                "suggestion": suggestion_row(*(table.of(cell_id) or (None, None))) if table else None,
            }
            for cell_id in found.cell_ids
        ]
        if table:
            order = {category: place for place, category in enumerate(self._services.label_set.ids)}
            is_by_certainty = request.query_params.get("order") == "certainty"
            rows.sort(key=lambda row: _by_suggestion(row, order, is_by_certainty=is_by_certainty))
        return JSONResponse({"items": rows, "seed": found.seed, "until": until})

    def _found(self, request: Request) -> GalleryPage:
        name, chosen = allowed(request, "label").name, web.id_list(request, "cells", most=MOST_TILES)
        if chosen:
            return chosen_page(self._services, name, chosen)
        suggested, order = request.query_params.get("suggested") or None, request.query_params.get("order", "likeness")
        if suggested not in (None, *self._services.label_set.ids) or order not in get_args(Order):
            raise BadRequest("suggested is a category of the study, order is likeness or certainty.")
        if self._services.settings.suggestions != "shown" and (suggested or order != "likeness"):
            raise Forbidden("This study hides suggestions until the answer; such a page would tell them.")
        wanted = Wanted(
            limit=web.whole_number(request, "limit", default=120, most=MOST_TILES),
            like=request.query_params.get("like"), suggested=suggested, order=cast(Order, order),
            exclude=tuple(web.id_list(request, "held", most=_MOST_HELD)),
        )  # fmt: skip
        return gallery_page(self._services, name, wanted)

    async def exemplar(self, request: Request) -> Response:
        person, row = allowed(request, "label"), await web.json_body(request)
        if not isinstance(row, dict):
            raise BadRequest("an object with key, cell and category is needed.")
        category = web.text_of(row, "category") if row.get("category") is not None else None
        try:
            await run_in_threadpool(
                exemplars.mark, self._services.database, person.name, web.text_of(row, "cell"), category,
                key=web.text_of(row, "key"), label_set=self._services.label_set,
            )  # fmt: skip
        except LabelRefused as refusal:
            tr = await web.words_of(self._services.database, request)
            raise BadRequest(tr.of(refusal.reason)) from refusal
        return JSONResponse({"category": category})

    async def references(self, request: Request) -> Response:
        found = await run_in_threadpool(self._references, allowed(request, "label").name)
        return JSONResponse({"categories": found})

    def _references(self, annotator: str) -> dict[str, list[web.Row]]:
        database, reads = self._services.database, self._services.settings.reads
        cells = {
            category: adjudication.reference_cells(database, annotator, category, reads=reads, limit=_REFERENCES)
            for category in self._services.label_set.ids
        }
        scales = catalog.crop_scales(database, [cell for found in cells.values() for cell, _ in found])
        return {
            category: [{**cell_row(cell, scales.get(cell)), "source": source} for cell, source in found]
            for category, found in cells.items()
        }


def _by_suggestion(row: web.Row, order: dict[str, int], *, is_by_certainty: bool) -> tuple[int, float]:
    """Return what groups the cells; within a group the surest first, or as alike as they came."""
    suggestion = row["suggestion"]
    if suggestion is None:
        return len(order), 0.0
    return order.get(suggestion["category"], len(order)), -suggestion["probability"] if is_by_certainty else 0.0
