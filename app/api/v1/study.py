"""What the study is, and what its probe says."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from app.api.v1 import shapes, work_shapes
from app.api.v1.answers import MISSING, TOO_LONG, may
from app.api.v1.shapes import Ids
from app.api.web import BadRequest, Forbidden, NotFound, ids_of
from app.services import Services
from datasets import catalog
from labeling import answers, orders
from labeling.accounts import RIGHTS, SignedIn, doctors
from labeling.counting import ProgressCounter
from labeling.errors import OrderRefused, OrderTooLong
from labeling.orders import Order
from labeling.suggestions import current

MOST_SUGGESTIONS = 1000
_MOST_NAMED = 200

Member = Annotated[SignedIn, Depends(may("progress"))]
Manager = Annotated[SignedIn, Depends(may("runs"))]
Looker = Annotated[SignedIn, Depends(may("pictures"))]


def add_study(router: APIRouter, services: Services, counter: ProgressCounter) -> None:
    """Add the routes of the study and of its suggestions."""
    api = _Study(services, counter)
    router.add_api_route("/study", api.study, tags=["study"], summary="The study and the asking account")
    changing: dict[str, Any] = {"methods": ["POST"], "responses": {**TOO_LONG, **MISSING}}
    router.add_api_route("/order", api.order, tags=["study"], summary="Which cells come first")
    router.add_api_route("/order", api.give_order, tags=["study"], summary="Say which cells come first", **changing)
    router.add_api_route("/suggestions", api.suggestions, tags=["study"], summary="What the probe says of cells")


class _Study:
    def __init__(self, services: Services, counter: ProgressCounter) -> None:
        self._services, self._counter = services, counter

    def study(self, person: Member) -> shapes.Study:
        """Return the label set, the settings that matter to a program, the progress and the account's rights."""
        settings, database, store = self._services.settings, self._services.database, self._services.store()
        return shapes.Study(
            version=version("cytojepa"), label_set=settings.label_set.id,
            categories=[shapes.Category(id=c.id, name=c.name) for c in settings.label_set.categories],
            reads=settings.reads, suggestions=settings.suggestions, crop_um=settings.crop_um, crop_px=settings.crop_px,
            slides=catalog.counts(database).slides, encoder_fingerprint=store.fingerprint if store else None,
            progress=shapes.Progress(**asdict(self._counter.of(person.name))),
            account=person.name, role=person.role, rights=sorted(RIGHTS.get(person.role, ())),
        )  # fmt: skip

    def order(self, _person: Manager) -> work_shapes.Order:
        """Return the order of work that holds for all who label."""
        return work_shapes.Order(**orders.read(self._services.database).as_lists())

    def give_order(self, person: Manager, body: work_shapes.Order) -> work_shapes.Order:
        """Set the order of work in place of the one before; it holds from the next refit and is told in the chain."""
        wanted = Order(**{name: tuple(value) for name, value in body.model_dump().items()})
        try:
            orders.give(self._services.database, wanted, by=person.name, label_set=self._services.label_set,
                        doctors=doctors(self._services.database))  # fmt: skip
        except OrderTooLong as refusal:
            raise BadRequest(str(refusal)) from refusal
        except OrderRefused as refusal:
            raise NotFound(str(refusal)) from refusal
        return work_shapes.Order(**wanted.as_lists())

    def suggestions(
        self, person: Looker, start: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_SUGGESTIONS)] = 100, cells: Annotated[Ids, Query()] = "",
    ) -> shapes.Suggestions:  # fmt: skip
        """Return the present suggestions of the cells named in `cells`, or of all, page by page.

        A suggestion must not lead who labels. So an account that may label gets, unless the study shows
        suggestions before the answer, those of cells only that it has answered, check cells left out (a page
        may then hold few or none and still have a next one), and none at all where the study hides them.
        """
        is_blind = person.may("label") and self._services.settings.suggestions != "shown"
        if is_blind and self._services.settings.suggestions == "hidden":
            raise Forbidden("This study hides suggestions from those who label.")
        store, database = self._services.store(), self._services.database
        table = current(database, self._services.probes_folder, store)
        if store is None or table is None:
            return shapes.Suggestions(probe=None, encoder_fingerprint=None, suggestions=[], next=None)
        named = ids_of("cells", cells, _MOST_NAMED)
        wanted = named or store.cell_ids[start : start + limit]
        if is_blind:
            told = answers.told_among(database, person.name, wanted)
            wanted = [cell for cell in wanted if cell in told]
        guesses = [(cell, table.of(cell)) for cell in wanted]
        has_more = not named and start + limit < len(store)
        return shapes.Suggestions(
            probe=table.probe_id, encoder_fingerprint=store.fingerprint, next=start + limit if has_more else None,
            suggestions=[shapes.CellSuggestion(cell=c, category=g[0], probability=g[1]) for c, g in guesses if g],
        )  # fmt: skip
