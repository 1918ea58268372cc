"""The routes of the map: places and colours as bytes, the cells of a selection as ids."""

import json
from collections.abc import Callable
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api import web
from app.api.web import BadRequest, Forbidden, Stale, allowed, guarded
from app.cell_map import Layout, read_map
from app.pictures import MOST_TILES
from app.services import Services
from app.words import Words
from datasets import catalog
from datasets.embeddings import EmbeddingStore
from labeling.accounts import SignedIn
from labeling.answers import current_labels
from labeling.suggestions import current

Codes = NDArray[np.uint8]
Legend = list[dict[str, str]]

_GREY = "#8b9099"
_SLIDE_COLORS = ("#4363c9", "#e0ac36", "#43936c", "#a12c7d", "#6fb6e0", "#c9692b", "#55622d", "#7d5a3c", "#8a5aa8")
CERTAINTY_COLORS = ("#5b1a6b", "#a12c7d", "#c9692b", "#e0ac36", "#43936c")
"""From unsure to sure."""


def map_routes(services: Services) -> list[Route]:
    """Return the routes of the map."""
    api = _Map(services)
    return [
        Route("/api/map/points", guarded(api.points)),
        Route("/api/map/colors", guarded(api.colors)),
        Route("/api/map/cells", guarded(api.cells), methods=["POST"]),
    ]


class _Map:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._ways: dict[str, Callable[[EmbeddingStore, SignedIn, Words], tuple[Legend, Codes]]] = {
            "label": self._by_label, "slide": self._by_slide, "suggestion": self._by_suggestion,
            "certainty": self._by_certainty, "doctor": self._by_doctor,
        }  # fmt: skip

    async def points(self, request: Request) -> Response:
        allowed(request, "label")
        layout = request.query_params.get("layout", "pca")
        if layout not in get_args(Layout):
            raise BadRequest(f"layout={layout[:20]}: there are {', '.join(get_args(Layout))}.")
        store = await self._asked(request, request.query_params.get("of"))
        if store is not None:
            points = await run_in_threadpool(read_map, self._services.home, store, cast(Layout, layout))
            if points is not None:
                headers = {"Cache-Control": "no-store", "X-Map-Of": store.fingerprint}
                return Response(points.astype("<u2").tobytes(), media_type="application/octet-stream", headers=headers)
        return Response(status_code=204)  # not drawn yet: nothing is wrong, and the page looks again

    async def _asked(self, request: Request, of: object) -> EmbeddingStore | None:
        """Return the vectors of now, None where there are none.

        Args:
            request: Of the page.
            of: Fingerprint of those that the page's map is of: a row of others is another cell.

        Raises:
            Stale: The study has others by now.
        """
        store = await run_in_threadpool(self._services.store)
        if store is not None and of not in (None, store.fingerprint):
            tr = await web.words_of(self._services.database, request)
            raise Stale(tr("The cells have new vectors: the map was drawn anew. Choose once more."))
        return store

    async def colors(self, request: Request) -> Response:
        signed_in, by = allowed(request, "label"), request.query_params.get("by", "label")
        if by not in self._ways:
            raise BadRequest(f"by={by[:20]}: there are {', '.join(self._ways)}.")
        if by in ("suggestion", "certainty") and self._services.settings.suggestions != "shown":
            raise Forbidden("This study hides suggestions until the answer; the map would tell them.")
        if by == "doctor" and not signed_in.may("adjudicate"):
            raise Forbidden("Who answered what is seen by adjudicators and admins.")
        store = _there(await self._asked(request, request.query_params.get("of")))
        tr = await web.words_of(self._services.database, request)
        content = await run_in_threadpool(self._colored, store, by, signed_in, tr)
        return Response(content, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    def _colored(self, store: EmbeddingStore, by: str, signed_in: SignedIn, tr: Words) -> bytes:
        """Return a legend as JSON, a line feed, and one byte for each cell: its place in the legend."""
        legend, codes = self._ways[by](store, signed_in, tr)
        return json.dumps(legend).encode() + b"\n" + codes.tobytes()

    def _by_label(self, store: EmbeddingStore, signed_in: SignedIn, tr: Words) -> tuple[Legend, Codes]:
        sees_all = signed_in.may("adjudicate")
        with self._services.database.read() as session:
            found = [x for x in current_labels(session) if sees_all or x.annotator == signed_in.name]
        answers = {label.cell_id: label.category for label in found}
        return self._of_categories([answers.get(cell) for cell in store.cell_ids], tr("no label"), tr)

    def _by_slide(self, store: EmbeddingStore, _signed_in: SignedIn, tr: Words) -> tuple[Legend, Codes]:
        slides = catalog.slide_of_cells(self._services.database)
        order = {slide: place for place, slide in enumerate(sorted(set(slides.values())))}
        number = len(_SLIDE_COLORS)
        codes = np.array([order[slides[cell]] % number if cell in slides else 0 for cell in store.cell_ids], np.uint8)
        shown = min(number, len(order))
        words = [
            tr("slides {n}, {next}, ...", n=i + 1, next=i + 1 + number) if len(order) > number
            else tr("slide {n}", n=i + 1)
            for i in range(shown)
        ]  # fmt: skip
        return [{"name": words[i], "color": _SLIDE_COLORS[i]} for i in range(shown)], codes

    def _by_doctor(self, store: EmbeddingStore, _signed_in: SignedIn, tr: Words) -> tuple[Legend, Codes]:
        with self._services.database.read() as session:
            doctors = {label.cell_id: label.annotator for label in current_labels(session)}
        number = len(_SLIDE_COLORS)
        names = sorted(set(doctors.values()))
        shown = [*names[: number - 1], *([tr("others")] if len(names) >= number else [])]
        code = {name: 1 + min(place, number - 1) for place, name in enumerate(names)}
        legend = [{"name": tr("no label"), "color": _GREY}]
        legend += [{"name": name, "color": color} for name, color in zip(shown, _SLIDE_COLORS, strict=False)]
        return legend, np.array([code[doctors[cell]] if cell in doctors else 0 for cell in store.cell_ids], np.uint8)

    def _guesses(self, store: EmbeddingStore) -> list[tuple[str, float] | None]:
        table = current(self._services.database, self._services.probes_folder, store)
        return [table.of(cell) if table else None for cell in store.cell_ids]

    def _by_suggestion(self, store: EmbeddingStore, _signed_in: SignedIn, tr: Words) -> tuple[Legend, Codes]:
        guesses = self._guesses(store)
        return self._of_categories([guess[0] if guess else None for guess in guesses], tr("no suggestion"), tr)

    def _by_certainty(self, store: EmbeddingStore, _signed_in: SignedIn, tr: Words) -> tuple[Legend, Codes]:
        guesses = self._guesses(store)
        steps = len(CERTAINTY_COLORS)
        codes = [0 if guess is None else 1 + min(steps - 1, int(guess[1] * steps)) for guess in guesses]
        words = [tr("{low} to {high} %", low=100 * i // steps, high=100 * (i + 1) // steps) for i in range(steps)]
        legend = [{"name": tr("no suggestion"), "color": _GREY}]
        return legend + [{"name": w, "color": c} for w, c in zip(words, CERTAINTY_COLORS, strict=True)], np.array(
            codes, np.uint8
        )

    def _of_categories(self, answers: list[str | None], nothing: str, tr: Words) -> tuple[Legend, Codes]:
        categories = self._services.label_set.categories
        code = {category.id: place for place, category in enumerate(categories, start=1)}
        legend = [{"name": nothing, "color": _GREY}, *({"name": tr(c.name), "color": c.color} for c in categories)]
        return legend, np.array([code.get(answer or "", 0) for answer in answers], np.uint8)

    async def cells(self, request: Request) -> Response:
        allowed(request, "label")
        body = await web.json_body(request)
        rows = body.get("rows") if isinstance(body, dict) else None
        if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_TILES or not all(isinstance(r, int) for r in rows):
            raise BadRequest(f"rows: a list of 1 to {MOST_TILES} whole numbers is needed.")
        store = _there(await self._asked(request, body.get("of")))
        if not all(0 <= row < len(store) for row in rows):
            raise BadRequest(f"rows: there are {len(store)} cells on the map; reload it.")
        return JSONResponse({"cells": [store.cell_ids[row] for row in rows]})


def _there(store: EmbeddingStore | None) -> EmbeddingStore:
    if store is None:
        raise BadRequest("there are no embeddings yet.")
    return store
