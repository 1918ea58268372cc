"""The routes of the review: differing answers out, verdicts in. For adjudicators."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api import web
from app.api.cells import cell_row, suggestion_row
from app.api.web import allowed, guarded
from app.services import Services
from datasets import catalog
from labeling import adjudication, exemplars
from labeling.adjudication import Case, VerdictEvent

_MOST_EVENTS = 200
_MOST_CASES = 200


def review_routes(services: Services) -> list[Route]:
    """Return the routes of the review."""
    api = _Review(services)
    return [Route("/api/cases", guarded(api.cases)), Route("/api/verdicts", guarded(api.verdicts), methods=["POST"])]


class _Review:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def cases(self, request: Request) -> Response:
        allowed(request, "adjudicate")
        include_imported = request.query_params.get("imported") == "1"
        found = await run_in_threadpool(
            adjudication.cases, self._services.database, include_imported=include_imported,
            asked=request.query_params.get("cell") or None,
        )  # fmt: skip
        shown = found[:_MOST_CASES]
        scales = await run_in_threadpool(catalog.crop_scales, self._services.database, [case.cell_id for case in shown])
        examples = await run_in_threadpool(self._examples)
        rows = [{**self._case(case, scales.get(case.cell_id)), "example": examples.get(case.cell_id)} for case in shown]
        is_open = sum(case.verdict is None for case in found)
        return JSONResponse({"cases": rows, "open": is_open, "decided": len(found) - is_open})

    def _examples(self) -> dict[str, str | None]:
        with self._services.database.read() as session:
            return {cell: row.category for cell, row in exemplars.standing(session).items()}

    async def verdicts(self, request: Request) -> Response:
        adjudicator = allowed(request, "adjudicate")
        rows = web.rows_of(await web.json_body(request), "events", most=_MOST_EVENTS)
        receipts = await run_in_threadpool(
            adjudication.decide, self._services.database, adjudicator.name, [_parse(row) for row in rows],
            label_set=self._services.label_set,
        )  # fmt: skip
        tr = await web.words_of(self._services.database, request)
        return JSONResponse({"receipts": [web.receipt_row(r, tr) for r in receipts]})

    def _case(self, case: Case, mpp: float | None) -> web.Row:
        is_hidden = self._services.settings.suggestions == "hidden"
        guess = next((label for label in reversed(case.labels) if label.suggestion), None)
        return {
            **cell_row(case.cell_id, mpp),
            "answers": [
                {
                    "annotator": label.annotator, "category": label.category, "confidence": label.confidence,
                    "comment": label.comment, "seconds": label.seconds, "made_at": label.made_at.isoformat(),
                }
                for label in case.labels
            ],
            "suggestion": suggestion_row(guess.suggestion, guess.suggestion_probability)
            if guess and not is_hidden else None,
            "verdict": case.verdict and {
                "category": case.verdict.category, "by": case.verdict.adjudicator, "comment": case.verdict.comment
            },
        }  # fmt: skip


def _parse(row: web.Row) -> VerdictEvent:
    return VerdictEvent(
        key=web.text_of(row, "key"), cell_id=web.text_of(row, "cell"),
        category=web.text_of(row, "category") if row.get("category") is not None else None,
        comment=web.optional_text_of(row, "comment"),
    )  # fmt: skip
