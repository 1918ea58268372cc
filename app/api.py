"""The routes of the labelling surface: cells out, labels in, acknowledged after the commit."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.services import Services
from datasets import catalog
from datasets.files import sha256_of_file
from labeling import answers, labels, leases
from labeling.labels import LabelEvent, Receipt, UndoEvent

MOST_EVENTS = 200
_MOST_ITEMS = 50
_MOST_BYTES = 256_000


class BadRequest(Exception):
    """A request that makes no sense, with the reason."""


Handler = Callable[[Request], Awaitable[Response]]


def api_routes(services: Services) -> list[Route]:
    """Return the routes below `/api/`; the gate has checked the sign-in before any of them."""
    api = _Api(services)
    return [
        Route("/api/worklist", _guarded(api.worklist)),
        Route("/api/events", _guarded(api.events), methods=["POST"]),
        Route("/api/recent", _guarded(api.recent)),
        Route("/api/cells/{cell_id}/image", _guarded(api.image)),
    ]


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except BadRequest as error:
            return JSONResponse({"error": str(error)}, 400)

    return guarded


class _Api:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._mode = services.settings.suggestions

    async def worklist(self, request: Request) -> Response:
        settings = self._services.settings
        held = [cell_id for cell_id in request.query_params.get("held", "").split(",") if cell_id]
        items = await run_in_threadpool(
            leases.take, self._services.database, _name(request), _limit(request),
            reads=settings.reads, lease_seconds=settings.lease_seconds, exclude=held,
        )  # fmt: skip
        scales = await run_in_threadpool(catalog.crop_scales, self._services.database, [i.cell_id for i in items])
        rows = [
            {
                **_cell(item.cell_id, scales), "reason": item.reason,
                "suggestion": _suggestion(item.suggestion, item.probability) if self._mode == "shown" else None,
            }
            for item in items
        ]  # fmt: skip
        return JSONResponse({"items": rows, "progress": await self._progress(request)})

    async def events(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > _MOST_BYTES:
            raise BadRequest(f"{len(body)} bytes; send at most {_MOST_BYTES} at once.")
        events = _parse_events(await _json(request))
        settings = self._services.settings
        receipts = await run_in_threadpool(
            labels.record, self._services.database, _name(request), events,
            label_set=settings.label_set, shown=self._mode == "shown", reads=settings.reads,
            lease_seconds=settings.lease_seconds,
        )  # fmt: skip
        rows = [self._receipt(receipt) for receipt in receipts]
        return JSONResponse({"receipts": rows, "progress": await self._progress(request)})

    async def recent(self, request: Request) -> Response:
        rows = await run_in_threadpool(answers.recent, self._services.database, _name(request), _limit(request))
        scales = await run_in_threadpool(catalog.crop_scales, self._services.database, [r.cell_id for r in rows])
        found = [
            {
                **_cell(row.cell_id, scales), "key": row.key, "category": row.category,
                "suggestion": self._after(row.suggestion, row.probability),
            }
            for row in rows
        ]  # fmt: skip
        return JSONResponse({"labels": found})

    async def image(self, request: Request) -> Response:
        cell_id = request.path_params["cell_id"]
        # The catalogue decides what is a cell: no path is ever made of what a browser sent.
        known = await run_in_threadpool(catalog.crop_scales, self._services.database, [cell_id])
        path = catalog.crop_path(self._services.home, cell_id) if cell_id in known else None
        if path is None or not path.exists():
            return JSONResponse({"error": "There is no such cell."}, 404)
        tag = f'"{await run_in_threadpool(sha256_of_file, path)}"'
        headers = {"ETag": tag, "Cache-Control": "private, max-age=31536000, immutable"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        content = await run_in_threadpool(path.read_bytes)
        return Response(content, media_type="image/png", headers=headers)

    async def _progress(self, request: Request) -> dict[str, int]:
        found = await run_in_threadpool(answers.progress, self._services.database, _name(request))
        return {"mine": found.labelled_by_me, "labelled": found.labelled, "cells": found.cells}

    def _receipt(self, receipt: Receipt) -> dict[str, Any]:
        row = asdict(receipt)
        return {"key": row["key"], "accepted": row["accepted"], "reason": row["reason"],
                "suggestion": self._after(receipt.suggestion, receipt.probability)}  # fmt: skip

    def _after(self, category: str | None, probability: float | None) -> dict[str, Any] | None:
        return None if self._mode == "hidden" else _suggestion(category, probability)


def _name(request: Request) -> str:
    name: str = request.state.signed_in.name
    return name


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "12")
    if not text.isdigit() or not 1 <= int(text) <= _MOST_ITEMS:
        raise BadRequest(f"limit={text[:20]}: use a whole number from 1 to {_MOST_ITEMS}.")
    return int(text)


def _cell(cell_id: str, scales: dict[str, float | None]) -> dict[str, Any]:
    return {"cell": cell_id, "image": f"/api/cells/{cell_id}/image", "mpp": scales.get(cell_id)}


def _suggestion(category: str | None, probability: float | None) -> dict[str, Any] | None:
    return None if category is None else {"category": category, "probability": probability}


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise BadRequest("the body is not JSON.") from error


def _parse_events(body: Any) -> list[LabelEvent | UndoEvent]:
    rows = body.get("events") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_EVENTS:
        raise BadRequest(f"send an object with 1 to {MOST_EVENTS} events.")
    return [_parse_event(row) for row in rows]


def _parse_event(row: Any) -> LabelEvent | UndoEvent:
    if not isinstance(row, dict) or row.get("kind") not in ("label", "undo"):
        raise BadRequest("an event is an object of kind label or undo.")
    if row["kind"] == "undo":
        return UndoEvent(key=_text(row, "key"), label_key=_text(row, "label_key"))
    seconds = row.get("seconds")
    return LabelEvent(
        key=_text(row, "key"), cell_id=_text(row, "cell"), category=_text(row, "category"),
        decided_at=_moment(row.get("decided_at")),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
    )  # fmt: skip


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 80:
        raise BadRequest(f"{name}: a text of 1 to 80 characters is needed.")
    return value


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadRequest("decided_at: an ISO 8601 time is needed.") from error
    if moment.tzinfo is None:
        raise BadRequest("decided_at: the time zone is missing.")
    return moment
