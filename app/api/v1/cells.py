"""Which cells there are, and their pictures."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.api.cells import cell_row
from app.api.v1 import shapes
from app.api.v1.answers import MISSING, Documented, may
from app.api.v1.shapes import Ids
from app.api.web import LONGEST_NAME, NotFound
from app.pictures import WIDE_FACTOR, Pictures
from app.services import Services
from datasets import catalog
from datasets.listing import CellFacts, cell_facts, cell_page

MOST_CELLS = 1000
_FOR_EVER = "private, max-age=31536000, immutable"

Looker = Depends(may("pictures"))
CellId = Annotated[str, Path(max_length=LONGEST_NAME, pattern=r"^[0-9A-Za-z-]+$", examples=["CE-4QX2ZK7NWD3RA"])]


def add_cells(router: APIRouter, services: Services, pictures: Pictures) -> None:
    """Add the routes of the cells and of their pictures."""
    api = _Cells(services, pictures)
    common: dict[str, Any] = {"tags": ["cells"], "dependencies": [Looker]}
    router.add_api_route("/cells", api.page, summary="List cells", **common)
    router.add_api_route("/cells/{cell_id}", api.one, summary="One cell", responses=MISSING, **common)
    crop = _picture("image/png", "The crop; its scale is the cell's `mpp`.")
    field = _picture("image/jpeg", f"{WIDE_FACTOR} times a crop's side.")
    common |= {"response_class": Response}
    router.add_api_route("/cells/{cell_id}/image", api.image, summary="A cell's picture", responses=crop, **common)
    router.add_api_route("/cells/{cell_id}/wide", api.wide, summary="The field around it", responses=field, **common)


def _picture(kind: str, text: str) -> Documented:
    return {**MISSING, 200: {"description": text, "content": {kind: {}}}, 304: {"description": "As the asker has it."}}


class _Cells:
    def __init__(self, services: Services, pictures: Pictures) -> None:
        self._services, self._pictures = services, pictures

    def page(
        self, after: Annotated[Ids, Query(max_length=LONGEST_NAME)] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_CELLS)] = 100, slide: Annotated[Ids, Query()] = "",
    ) -> shapes.CellPage:  # fmt: skip
        """List cells by id; an id is a keyed hash, so that the order tells nothing of slide or class."""
        slides = [slide] if slide else []
        found = cell_page(self._services.database, after=after, limit=limit + 1, slides=slides)
        page = [_info(facts) for facts in found[:limit]]
        return shapes.CellPage(cells=page, next=page[-1].cell if len(found) > limit else None)

    def one(self, cell_id: CellId) -> shapes.CellInfo:
        """Return where a cell lies and at which scale."""
        facts = cell_facts(self._services.database, cell_id)
        if facts is None:
            raise NotFound("There is no such cell.")
        return _info(facts)

    def image(
        self, cell_id: CellId, request: Request, z: Annotated[float | None, Query(allow_inf_nan=False)] = None
    ) -> Response:
        """Return a cell's crop: square, of the study's side, the cell in its centre.

        `z` asks for another focal plane, in micrometres, where the slide was scanned in several.
        """
        # The catalogue decides what is a cell: no path is ever made of what a browser sent.
        known = catalog.crop_scales(self._services.database, [cell_id])
        if z is not None and cell_id in known:
            return self._plane(cell_id, z)
        path = catalog.crop_path(self._services.home, cell_id) if cell_id in known else None
        if path is None or not path.exists():
            raise NotFound("There is no such cell.")
        content = path.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": _FOR_EVER}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="image/png", headers=headers)

    def _plane(self, cell_id: str, z_um: float) -> Response:
        content = self._pictures.plane(cell_id, z_um)
        if content is None:
            raise NotFound("This focal plane of the cell cannot be read.")
        return Response(content, media_type="image/png", headers={"Cache-Control": _FOR_EVER})

    def wide(self, cell_id: CellId) -> Response:
        """Return the field around a cell, the cell in its centre."""
        content = self._pictures.wide(cell_id)
        if content is None:
            raise NotFound("No wider field of this cell is kept: it came as a picture of one cell.")
        headers: dict[str, Any] = {"Cache-Control": _FOR_EVER, "X-Wide-Factor": str(WIDE_FACTOR)}
        return Response(content, media_type="image/jpeg", headers=headers)


def _info(facts: CellFacts) -> shapes.CellInfo:
    return shapes.CellInfo(
        **cell_row(facts.cell_id, facts.crop_mpp), slide=facts.slide_id, x_px=facts.x_px, y_px=facts.y_px,
        slide_mpp=facts.slide_mpp, origin=facts.origin,
    )  # fmt: skip
