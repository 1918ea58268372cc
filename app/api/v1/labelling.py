"""Cells out, labels in: for the labelling pages and for other programs alike."""

from contextlib import closing
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query

from app.api import web
from app.api.cells import asked_because, cell_row, suggestion_after, suggestion_row
from app.api.v1 import shapes, work_shapes
from app.api.v1.answers import MISSING, TOO_LONG, may
from app.api.v1.shapes import Ids, Text
from app.api.web import Forbidden, NotFound, ids_of
from app.chosen import find_choices, take_suggested
from app.present import PresentSuggestions
from app.services import Services
from app.words import ENGLISH, Words, reader_words, words
from datasets import catalog, places
from labeling import answers, foils, labels, leases
from labeling.accounts import SignedIn
from labeling.choices import GROUNDS
from labeling.counting import ProgressCounter
from labeling.export.rows import Row, Selection, Study, iter_labels
from labeling.labels import LabelEvent, Receipt, UndoEvent
from labeling.leases import WorkItem
from labeling.mixture import CHECK_REASON
from labeling.openings import Focus
from labeling.study import edition
from labeling.suggestions import SuggestionTable

_ENGLISH = words(ENGLISH)
MOST_ITEMS = 50
MOST_HELD = 400
MOST_SLIDES = 200
MOST_LABELS = 1000

Labeller = Annotated[SignedIn, Depends(may("label"))]
Spoken = Annotated[str, Header(alias="accept-language", include_in_schema=False)]
"""What the browser speaks; used where the account has chosen no language."""
SlideIds = Annotated[Ids, Query()]
Category = Annotated[Text, Query()]
Ground = Annotated[Literal["", "unclear", "unlike"], Query()]
Items = Annotated[int, Query(ge=1, le=MOST_ITEMS)]


def add_labelling(router: APIRouter, services: Services, counter: ProgressCounter) -> None:
    """Add the routes of the worklist, of the labels and of the last answers."""
    api = _Labelling(services, counter)
    changing: dict[str, Any] = {"methods": ["POST"], "responses": TOO_LONG}
    for path, handler, summary, more in (
        ("/worklist", api.worklist, "Lease the next cells", {"responses": MISSING}),
        ("/choices", api.choices, "Cells left, by slide, suggestion and ground", {"responses": MISSING}),
        ("/release", api.release, "Give cells back", changing),
        ("/labels", api.record, "Store labels and undos", changing),
        ("/labels", api.labels, "List labels", {}),
        ("/recent", api.recent, "The account's last actions", {}),
    ):
        router.add_api_route(path, handler, tags=["labelling"], summary=summary, **more)


class _Labelling:
    def __init__(self, services: Services, counter: ProgressCounter) -> None:
        self._services, self._counter = services, counter
        self._mode = services.settings.suggestions
        self._present = PresentSuggestions(services)

    def worklist(
        self, person: Labeller, limit: Items = 12, held: Annotated[Ids, Query()] = "",
        slides: SlideIds = "", suggested: Category = "", ground: Ground = "", spoken: Spoken = "",
    ) -> work_shapes.Worklist:  # fmt: skip
        """Lease the next cells to this account and say why each is asked.

        A lease ends with the label, with `/release`, or after the study's `lease_seconds`; asking again
        renews it. `held` names the cells that the asker has at hand already: they are not sent again.
        `slides` asks for cells of certain slides only. `suggested` asks for cells with one suggestion only, out of
        the whole pool, where the study shows suggestions before the answer; elsewhere such a list would tell it.
        `ground` asks for cells that the ranked list asks as unclear between two answers, or as unlike those labelled
        so far. The study's order of work goes before all three; own repeats and known cells come in between.
        """
        focus = self._focus(slides, suggested, ground)
        settings, database, known = self._services.settings, self._services.database, ids_of("held", held, MOST_HELD)
        made = edition(database)  # before the cells: a fit in between must not pass old ones off as new
        items = leases.take(
            database, person.name, limit, reads=settings.reads, lease_seconds=settings.lease_seconds, exclude=known,
            shares=settings.shares, focus=focus,
        )  # fmt: skip
        if focus.suggested and not focus.arms:
            others = {*known, *(item.cell_id for item in items)}
            items += take_suggested(
                self._services, self._present, person.name, focus, most=limit - len(items), exclude=others
            )
        until = leases.last_end(settings.lease_seconds).isoformat()
        scales = catalog.crop_scales(database, [i.cell_id for i in items])
        done = answers.settled_among(database, person.name, known)
        tr = self._words(person, spoken)
        planes = places.planes_of_cells(database, [i.cell_id for i in items])
        turns = answers.turns(database, person.name, [i.cell_id for i in items])
        lies = {i.cell_id: _lies(planes.get(i.cell_id), turns[i.cell_id]) for i in items}
        rows = [self._work_cell(item, scales.get(item.cell_id), lies[item.cell_id], tr) for item in items]
        return work_shapes.Worklist(
            items=rows, done=sorted(done), progress=self._progress(person), until=until, edition=made
        )

    def choices(
        self, person: Labeller, slides: SlideIds = "", suggested: Category = "", ground: Ground = ""
    ) -> work_shapes.Choices:
        """Say how many cells are left for this account: of all slides, suggestions and grounds, and of one choice.

        `slides`, `suggested` and `ground` as for `/worklist`.
        """
        found = find_choices(self._services, self._present, person.name, self._focus(slides, suggested, ground))
        by_category = found.categories
        return work_shapes.Choices(
            left=found.left,
            slides=[work_shapes.SlideLeft(slide=name, left=left) for name, left in found.slides.items()],
            categories=None if by_category is None else [
                work_shapes.CategoryLeft(category=name, left=left) for name, left in by_category.items()
            ],
            grounds=[work_shapes.GroundLeft(ground=name, left=left) for name, left in found.grounds.items()],
        )  # fmt: skip

    def _focus(self, slides: str, suggested: str, ground: str) -> Focus:
        if suggested and self._mode != "shown":
            raise Forbidden("This study hides suggestions until the answer; such a list would tell them.")
        if suggested and suggested not in self._services.label_set.class_ids:
            raise NotFound(f"suggested={suggested[:40]}: not a category of this study.")
        named = tuple(ids_of("slides", slides, MOST_SLIDES))
        return Focus(slides=named, suggested=(suggested,) if suggested else (), arms=GROUNDS.get(ground, ()))

    def release(self, person: Labeller, body: shapes.Cells) -> shapes.Released:
        """End the account's leases of some cells, so that others get them."""
        count = leases.give_back(self._services.database, person.name, body.cells, unseen=body.unseen, until=body.until)
        return shapes.Released(released=count)

    def record(self, person: Labeller, body: shapes.Events, spoken: Spoken = "") -> shapes.Receipts:
        """Store labels and undos, each key once: send again until the receipts are there.

        A refused event never costs the others: read each receipt. Labels need no lease, but only a leased
        cell's label remembers why it was asked and what had been suggested.
        """
        settings, database = self._services.settings, self._services.database
        events = [_event(event) for event in body.events]
        table = self._present.table()
        cell_of = {event.key: event.cell_id for event in events if isinstance(event, LabelEvent)}
        late = self._present.of(cell_of.values(), table) if table else {}
        receipts = labels.record(
            database, person.name, events, label_set=settings.label_set, shown=self._mode == "shown",
            tells=self._mode != "hidden", late=late, reads=settings.reads, lease_seconds=settings.lease_seconds,
            via=person.via,
        )  # fmt: skip
        # A browser that resends gets the same answer: what became of a foil is read, not remembered.
        missed = foils.missed(database, [r.key for r in receipts if r.accepted], settings.label_set)
        tr = self._words(person, spoken)
        found = [self._receipt(r, missed.get(r.key), _among(table, cell_of.get(r.key), r), tr) for r in receipts]
        return shapes.Receipts(receipts=found, progress=self._progress(person), edition=edition(database))

    def labels(
        self, person: Labeller, after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_LABELS)] = 100,
    ) -> shapes.Labels:  # fmt: skip
        """List labels in the order in which they were stored, also those that were taken back.

        An annotator gets the own ones, an adjudicator or admin everybody's.
        """
        mine = () if person.may("adjudicate") else (person.name,)
        study = Study(label_set=self._services.label_set, crop_px=self._services.settings.crop_px)
        with self._services.database.read() as session:
            wanted = Selection(annotators=mine, after_label_id=after)
            with closing(iter_labels(session, study, wanted)) as found:
                rows = list(islice(found, limit + 1))
        page = [self._label_row(row, is_own=row["annotator"] == person.name) for row in rows[:limit]]
        return shapes.Labels(labels=page, next=page[-1].label_id if len(rows) > limit else None)

    def recent(
        self,
        person: Labeller,
        limit: Items = 12,
        before: Annotated[Text | None, Query()] = None,
        spoken: Spoken = "",
    ) -> shapes.Steps:
        """Return the account's last actions that were not taken back, the newest first.

        `before` names a step; only older ones are returned.
        """
        database = self._services.database
        steps = answers.recent_steps(database, person.name, limit, before=before)
        labels = [label for step in steps for label in step.labels]
        scales = catalog.crop_scales(database, [label.cell_id for label in labels])
        planes = places.planes_of_cells(database, [label.cell_id for label in labels])
        turns = answers.turns_of(database, person.name, labels)
        lies = {label.id: _lies(planes.get(label.cell_id), turns[label.id]) for label in labels}
        tr = self._words(person, spoken)
        found = [
            shapes.Step(step=s.id, labels=[self._step_label(label, scales, lies[label.id], tr) for label in s.labels])
            for s in steps
        ]
        return shapes.Steps(steps=found)

    def _work_cell(self, item: WorkItem, mpp: float | None, lies: dict[str, Any], tr: Words) -> work_shapes.WorkCell:
        is_shown = self._mode == "shown" and item.may_show
        return work_shapes.WorkCell(
            **cell_row(item.cell_id, mpp), **lies, until=item.until.isoformat() if item.until else None,
            reason=asked_because(item.reason, self._services.label_set, is_blind=self._mode != "shown", tr=tr),
            suggestion=_suggestion(item.suggestion, item.probability) if is_shown else None,
        )  # fmt: skip

    def _step_label(
        self, label: Any, scales: dict[str, float | None], lies: dict[str, Any], tr: Words
    ) -> shapes.StepLabel:
        return shapes.StepLabel(
            **cell_row(label.cell_id, scales.get(label.cell_id)), **lies, key=label.key, category=label.category,
            confidence=label.confidence, comment=label.comment,
            **suggestion_after(self._mode, label.reason, label.suggestion, label.suggestion_probability),
            asked_because=self._because(label.reason, tr),
        )  # fmt: skip

    def _label_row(self, row: Row, *, is_own: bool) -> shapes.LabelRow:
        told = {name: row[name] for name in shapes.LabelRow.model_fields}
        if not is_own or self._mode == "hidden" or row["reason"] == CHECK_REASON:
            # What the probe said of a cell that this account may still have to decide, perhaps once more.
            told |= {"suggestion": None, "suggestion_probability": None}
        told["reason"] = self._because(row["reason"], _ENGLISH) if is_own else None
        return shapes.LabelRow(**told)

    def _progress(self, person: SignedIn) -> shapes.Progress:
        return shapes.Progress(**asdict(self._counter.of(person.name)))

    def _receipt(
        self, receipt: Receipt, is_missed: bool | None, among: shapes.ClassSet | None, tr: Words
    ) -> shapes.Receipt:
        told = suggestion_after(self._mode, receipt.asked_because, receipt.suggestion, receipt.probability)
        return shapes.Receipt(
            **web.receipt_row(receipt, tr), **told, among=among if told["suggestion"] else None,
            asked_because=self._because(receipt.asked_because, tr), foil=is_missed,
        )  # fmt: skip

    def _words(self, person: SignedIn, spoken: str) -> Words:
        return reader_words(self._services.database, person.name, spoken)

    def _because(self, reason: str | None, tr: Words) -> str | None:
        if reason is None:
            return None
        return asked_because(reason, self._services.label_set, is_blind=self._mode == "hidden", tr=tr)


def _among(table: SuggestionTable | None, cell: str | None, receipt: Receipt) -> shapes.ClassSet | None:
    """Return the set of classes of a cell, as long as the probe still suggests what was told."""
    if table is None or cell is None or (table.of(cell) or ("",))[0] != receipt.suggestion:
        return None
    found = table.set_of(cell)
    if found is None:
        return None
    return shapes.ClassSet(categories=list(found.classes), percent=found.percent, labels=found.labels)


def _lies(planes: tuple[float, list[float]] | None, turn: int) -> dict[str, Any]:
    return {"plane": planes[0] if planes else None, "planes": planes[1] if planes else None, "turn": turn}


def _suggestion(category: str | None, probability: float | None) -> shapes.Suggestion | None:
    found = suggestion_row(category, probability)
    return shapes.Suggestion(**found) if found else None


def _event(event: shapes.LabelEvent | shapes.UndoEvent) -> LabelEvent | UndoEvent:
    if isinstance(event, shapes.UndoEvent):
        return UndoEvent(key=event.key, label_key=event.label_key)
    return LabelEvent(
        key=event.key, cell_id=event.cell, category=event.category, decided_at=event.decided_at, seconds=event.seconds,
        confidence=event.confidence or None, comment=event.comment or None, step=event.step or None,
    )  # fmt: skip
