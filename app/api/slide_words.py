"""The routes of what doctors add to a slide: cells that nobody had found, and what they say of the whole."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import finds
from app.api import web
from app.api.web import allowed, guarded
from app.pictures import Pictures
from app.services import Services
from labeling import opinions
from labeling.finds import FindEvent
from labeling.opinions import OpinionEvent
from labeling.slide_records import Opinion

_MOST_FINDS = 50
"""Each cuts a crop in the sandbox."""
_MOST_OPINIONS = 200


def slide_word_routes(services: Services, pictures: Pictures) -> list[Route]:
    """Return the routes of marks and opinions."""
    api = _SlideWords(services, pictures)
    return [
        Route("/api/finds", guarded(api.find), methods=["POST"]),
        Route("/api/opinions", guarded(api.own)),
        Route("/api/opinions", guarded(api.say), methods=["POST"]),
    ]


class _SlideWords:
    def __init__(self, services: Services, pictures: Pictures) -> None:
        self._services, self._pictures = services, pictures

    async def find(self, request: Request) -> Response:
        name = allowed(request, "label").name
        rows = web.rows_of(await web.json_body(request), "events", most=_MOST_FINDS)
        events = [_find(row) for row in rows]
        receipts = await run_in_threadpool(finds.take, self._services, self._pictures, name, events)
        tr = await web.words_of(self._services.database, request)
        found = [web.receipt_row(r, tr) | {"cell": r.cell_id} for r in receipts]
        return JSONResponse({"receipts": found})

    async def own(self, request: Request) -> Response:
        name, slide = allowed(request, "label").name, request.query_params.get("slide", "")
        found = await run_in_threadpool(opinions.own, self._services.database, name, slide)
        return JSONResponse({"opinions": [_opinion_row(opinion) for opinion in found]})

    async def say(self, request: Request) -> Response:
        name = allowed(request, "label").name
        rows = web.rows_of(await web.json_body(request), "events", most=_MOST_OPINIONS)
        receipts = await run_in_threadpool(
            opinions.record, self._services.database, name, [_opinion(row) for row in rows],
            label_set=self._services.label_set,
        )  # fmt: skip
        tr = await web.words_of(self._services.database, request)
        return JSONResponse({"receipts": [web.receipt_row(r, tr) for r in receipts]})


def _find(row: web.Row) -> FindEvent:
    return FindEvent(
        key=web.text_of(row, "key"), slide_id=web.text_of(row, "slide"), x=web.number_of(row, "x"),
        y=web.number_of(row, "y"), width_px=abs(web.number_of(row, "width")),
        height_px=abs(web.number_of(row, "height")), z_um=web.number_of(row, "z"),
    )  # fmt: skip


def _opinion(row: web.Row) -> OpinionEvent:
    return OpinionEvent(
        key=web.text_of(row, "key"), slide_id=web.text_of(row, "slide"),
        adequacy=web.optional_text_of(row, "adequacy"), zone=web.optional_text_of(row, "zone"),
        category=web.optional_text_of(row, "category"), comment=web.optional_text_of(row, "comment"),
    )  # fmt: skip


def _opinion_row(opinion: Opinion) -> web.Row:
    return {"adequacy": opinion.adequacy, "zone": opinion.zone, "category": opinion.category,
            "comment": opinion.comment, "made_at": opinion.made_at.isoformat()}  # fmt: skip
