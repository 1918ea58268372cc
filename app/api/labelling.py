"""The routes of focus mode and of every page that labels: cells out, labels in."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api import web
from app.api.cells import asked_because, cell_row, label_row, suggestion_row
from app.api.web import BadRequest, allowed, guarded
from app.services import Services
from datasets import catalog, places
from labeling import answers, labels, leases
from labeling.labels import LabelEvent, Receipt, UndoEvent
from labeling.leases import WorkItem
from labeling.openings import Focus

MOST_EVENTS = 200
_MOST_ITEMS = 50
_MOST_HELD = 400
_MOST_SLIDES = 200


def labelling_routes(services: Services) -> list[Route]:
    """Return the routes of the worklist, of the events and of the last answers."""
    api = _Labelling(services)
    return [
        Route("/api/worklist", guarded(api.worklist)),
        Route("/api/events", guarded(api.events), methods=["POST"]),
        Route("/api/recent", guarded(api.recent)),
    ]


class _Labelling:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._mode = services.settings.suggestions

    async def worklist(self, request: Request) -> Response:
        settings, database, name = self._services.settings, self._services.database, allowed(request, "label").name
        held = web.id_list(request, "held", most=_MOST_HELD)
        items = await run_in_threadpool(
            leases.take, database, name, web.whole_number(request, "limit", default=12, most=_MOST_ITEMS),
            reads=settings.reads, lease_seconds=settings.lease_seconds, exclude=held,
            shares=settings.shares, focus=Focus(slides=tuple(web.id_list(request, "slides", most=_MOST_SLIDES))),
        )  # fmt: skip
        scales = await run_in_threadpool(catalog.crop_scales, database, [i.cell_id for i in items])
        planes = await run_in_threadpool(places.planes_of_cells, database, [i.cell_id for i in items])
        done = await run_in_threadpool(answers.settled_among, database, name, held)
        rows = [
            {
                **cell_row(item.cell_id, scales.get(item.cell_id)),
                "reason": asked_because(item.reason, settings.label_set, is_blind=self._mode != "shown"),
                "suggestion": self._before(item),
                **_planes(planes.get(item.cell_id)),
            }
            for item in items
        ]  # fmt: skip
        return JSONResponse({"items": rows, "done": sorted(done), "progress": await self._progress(request)})

    async def events(self, request: Request) -> Response:
        rows = web.rows_of(await web.json_body(request), "events", most=MOST_EVENTS)
        settings = self._services.settings
        receipts = await run_in_threadpool(
            labels.record, self._services.database, allowed(request, "label").name, [_parse_event(row) for row in rows],
            label_set=settings.label_set, shown=self._mode == "shown", reads=settings.reads,
            lease_seconds=settings.lease_seconds,
        )  # fmt: skip
        found = [self._receipt(receipt) for receipt in receipts]
        return JSONResponse({"receipts": found, "progress": await self._progress(request)})

    async def recent(self, request: Request) -> Response:
        database, before = self._services.database, request.query_params.get("before")
        limit = web.whole_number(request, "limit", default=12, most=_MOST_ITEMS)
        steps = await run_in_threadpool(
            answers.recent_steps, database, allowed(request, "label").name, limit, before=before
        )
        cell_ids = [label.cell_id for step in steps for label in step.labels]
        scales = await run_in_threadpool(catalog.crop_scales, database, cell_ids)
        found = [
            {
                "step": step.id,
                "labels": [
                    label_row(label, scales.get(label.cell_id), mode=self._mode, label_set=self._services.label_set)
                    for label in step.labels
                ],
            }
            for step in steps
        ]
        return JSONResponse({"steps": found})

    async def _progress(self, request: Request) -> dict[str, int]:
        found = await run_in_threadpool(answers.progress, self._services.database, allowed(request, "label").name)
        return {"mine": found.labelled_by_me, "labelled": found.labelled, "cells": found.cells}

    def _receipt(self, receipt: Receipt) -> dict[str, Any]:
        return {"key": receipt.key, "accepted": receipt.accepted, "reason": receipt.reason,
                "suggestion": self._after(receipt.suggestion, receipt.probability),
                "asked_because": self._because(receipt.asked_because)}  # fmt: skip

    def _before(self, item: WorkItem) -> dict[str, Any] | None:
        is_shown = self._mode == "shown" and item.may_show
        return suggestion_row(item.suggestion, item.probability) if is_shown else None

    def _after(self, category: str | None, probability: float | None) -> dict[str, Any] | None:
        return None if self._mode == "hidden" else suggestion_row(category, probability)

    def _because(self, reason: str | None) -> str | None:
        if reason is None:
            return None
        return asked_because(reason, self._services.label_set, is_blind=self._mode == "hidden")


def _planes(found: tuple[float, list[float]] | None) -> dict[str, Any]:
    """Return the focal planes of a cell for a page: nothing where there is one only."""
    return {} if found is None else {"plane": found[0], "planes": found[1]}


def _parse_event(row: web.Row) -> LabelEvent | UndoEvent:
    if row.get("kind") not in ("label", "undo"):
        raise BadRequest("an event is an object of kind label or undo.")
    if row["kind"] == "undo":
        return UndoEvent(key=web.text_of(row, "key"), label_key=web.text_of(row, "label_key"))
    seconds = row.get("seconds")
    return LabelEvent(
        key=web.text_of(row, "key"), cell_id=web.text_of(row, "cell"), category=web.text_of(row, "category"),
        decided_at=web.moment_of(row, "decided_at"),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        confidence=web.optional_text_of(row, "confidence"), comment=web.optional_text_of(row, "comment"),
        step=web.text_of(row, "step") if row.get("step") else None,
    )  # fmt: skip
