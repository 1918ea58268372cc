"""The one query behind every export: a row for each label, with all that explains it."""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import ColumnElement, exists, func, literal, null, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from datasets.bethesda import LabelSet
from datasets.catalog import Cell, Slide
from datasets.db import Database
from datasets.files import sha256_of_json
from labeling.adjudication import standing_verdicts
from labeling.export.agreed import AgreementKind, cells_agreed, cells_with, is_current
from labeling.foreign_records import ForeignProbe
from labeling.records import IMPORTED, Disclosure, Label, Probe, Undo, Verdict

COLUMNS: dict[str, type] = {
    "label_id": int, "label_key": str, "cell": str, "slide": str, "x_px": float, "y_px": float,
    "slide_mpp": float, "crop_mpp": float, "annotator": str, "category": str, "label_set": str,
    "is_current": bool, "made_at": str, "decided_at": str, "taken_back_at": str, "seconds": float,
    "reason": str, "suggestion": str, "suggestion_probability": float, "suggestion_shown": bool,
    "probe": str, "encoder_fingerprint": str, "confidence": str, "comment": str, "step": str,
    "kind": str, "split": str, "slide_width_px": int, "slide_height_px": int, "width_px": float, "height_px": float,
    "adequacy": str, "zone": str, "suggestion_told": bool, "of_labels": str,
}  # fmt: skip
"""Column names and kinds, in order; every kind may be missing (None)."""

Row = dict[str, Any]


_CHUNK = 1000
_SPLITS = (("train", 70), ("validation", 85), ("test", 100))
"""Per cent of the slides, as upper ends."""
SPLITS = tuple(name for name, _ in _SPLITS)


Kind = Literal["label", "reference", "opinion", "verdict"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which rows are wanted; an empty tuple means all."""

    slides: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    is_current_only: bool = False
    """Leave out what was taken back or replaced by the same annotator."""
    kinds: tuple[Kind, ...] = ("label", "reference", "opinion", "verdict")
    after_label_id: int = 0
    """Only labels that were stored after this one."""
    since: datetime | None = None
    """Only what was stored from this moment on."""
    until: datetime | None = None
    """Only what was stored before this moment."""
    agreement: AgreementKind | None = None
    """Only cells on which doctors agree (two at least), differ, or that have a verdict."""
    min_share: float | None = None
    """Only cells whose commonest answer has this share of the doctors' current labels, 0 to 1."""
    min_readers: int = 1
    """For `min_share`: only cells that so many doctors have decided."""

    def holds(self, made_at: str) -> bool:
        """Return whether a moment (ISO 8601) lies between `since` and `until`."""
        moment = datetime.fromisoformat(made_at)
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What a row needs to know of the study beside its tables."""

    label_set: LabelSet
    crop_px: int
    """Side of a crop in pixels; with its um/px it gives the square that the doctor saw."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Slide to patient, where known: one patient's slides stand on the same side of the split."""
    home: Path | None = None
    """The workspace, for formats that hold pictures or refer to DICOM slides."""
    digests: dict[str, bytes] | None = None
    """Where a writer of a folder may put the SHA-256 of a file, by its name in there: else it is read again for it."""


def export_rows(database: Database, label_set: LabelSet) -> list[Row]:
    """Return all labels in the order in which they were given, without the reference labels."""
    with database.read() as session:
        return list(iter_labels(session, Study(label_set=label_set, crop_px=0), Selection()))


def most_rows(session: Session, selection: Selection) -> int:
    """Return how many rows there are at most: without looking which labels were taken back, or where answers tie."""
    counted = {"label": func.count(), "reference": func.count(Label.cell_id.distinct())}
    wanted = [column for kind, column in counted.items() if kind in selection.kinds]
    if not wanted:
        return 0
    query = select(*wanted).select_from(Label).join(Cell, Cell.id == Label.cell_id).where(*_conditions(selection))
    return sum(session.execute(query).one())


def iter_labels(
    session: Session, study: Study, selection: Selection, *, by_cell: bool = False
) -> Generator[Row, None, None]:
    """Yield labels in the order in which they were given, or cell by cell; memory stays the same.

    `is_current` is False for labels that were taken back or replaced by a newer one of the same
    annotator. Times are UTC, ISO 8601. Coordinates are level-0 pixels of the slide. Who stops before the end closes
    the iterator: PostgreSQL keeps a cursor for it.
    """
    query = (
        select(*PLACE_COLUMNS, *_LABEL_COLUMNS.values())
        .join(Cell, Cell.id == Label.cell_id)
        .join(Slide, Slide.id == Cell.slide_id)
        .outerjoin(Undo, Undo.label_id == Label.id)
        .outerjoin(Probe, Probe.id == Label.probe_id)
        .outerjoin(ForeignProbe, ForeignProbe.id == Label.probe_id)
        .where(*_conditions(selection))
        .order_by(*((Cell.slide_id, Label.cell_id, Label.id) if by_cell else (Label.id,)))
        .execution_options(yield_per=_CHUNK)
    )
    if selection.is_current_only:
        query = query.where(_COUNTS)
    # Plain columns need no session, whose rows cost a tenth more.
    num_places = len(PLACE_COLUMNS)
    with session.connection().execute(query) as found:
        for values in found:
            row = placed(values[:num_places], study)
            row.update(zip(_LABEL_COLUMNS, values[num_places:], strict=True))
            row["is_current"], row["made_at"] = bool(row["is_current"]), row["made_at"].isoformat()
            row["suggestion_told"] = bool(row["suggestion_told"])
            row["decided_at"], row["taken_back_at"] = _iso(row["decided_at"]), _iso(row["taken_back_at"])
            yield row


def iter_references(session: Session, study: Study, selection: Selection) -> Iterator[Row]:
    """Yield one reference label for each cell that has one, cell by cell.

    The adjudicator's verdict; else the majority of the doctors' current labels; else what came with the
    data. No row where two answers tie. `reason` says which of them it is.
    """
    verdicts = standing_verdicts(session)
    wanted = Selection(
        slides=selection.slides, is_current_only=True, agreement=selection.agreement,
        min_share=selection.min_share, min_readers=selection.min_readers,
    )  # fmt: skip
    for _, group in groupby(iter_labels(session, study, wanted, by_cell=True), key=lambda row: row["cell"]):
        labels = list(group)
        row = _reference(labels, verdicts.get(labels[0]["cell"]))
        is_wanted = row is not None and (not selection.categories or row["category"] in selection.categories)
        if row is not None and is_wanted and selection.holds(row["made_at"]):
            yield row


def _reference(labels: list[Row], verdict: Verdict | None) -> Row | None:
    decided = _majority(labels) if verdict is None else (
        verdict.category, f"verdict of {verdict.adjudicator}", verdict.made_at.isoformat()
    )  # fmt: skip
    if decided is None:
        return None
    category, reason, made_at = decided
    return {
        **dict.fromkeys(COLUMNS),
        **{name: labels[0][name] for name in _PLACE},
        "category": category, "is_current": True, "made_at": made_at, "reason": reason, "kind": "reference",
        "comment": None if verdict is None else verdict.comment,
    }  # fmt: skip


def _majority(labels: list[Row]) -> tuple[str, str, str] | None:
    """Return category, reason and time of the newest label that agrees; None where two answers tie."""
    doctors = [row for row in labels if row["annotator"] != IMPORTED] or labels
    votes = Counter(row["category"] for row in doctors).most_common()
    if len(votes) > 1 and votes[0][1] == votes[1][1]:
        return None
    category, count = votes[0]
    is_own = doctors[0]["annotator"] != IMPORTED
    reason = f"{count} of {len(doctors)} readers" if is_own else "came with the data"
    return category, reason, max(row["made_at"] for row in doctors if row["category"] == category)


@lru_cache(maxsize=100_000)
def split_of(group: str) -> str:
    """Return train, validation or test: the same for all cells of a slide (or of a patient's slides), for ever."""
    place = int(sha256_of_json(["split", group])[:8], 16) % 100
    return next(name for name, end in _SPLITS if place < end)


_PLACE = ("cell", "slide", "x_px", "y_px", "slide_mpp", "crop_mpp", "label_set", "split",
          "slide_width_px", "slide_height_px", "width_px", "height_px")  # fmt: skip


PLACE_COLUMNS = (Cell.id, Cell.slide_id, Cell.x, Cell.y, Slide.mpp, Cell.crop_mpp, Slide.width_px, Slide.height_px,
                  Cell.source_width_px, Cell.source_height_px)  # fmt: skip
_COUNTS = is_current()
_LABEL_COLUMNS: dict[str, Any] = {
    "label_id": Label.id, "label_key": Label.key, "annotator": Label.annotator, "category": Label.category,
    "is_current": _COUNTS, "made_at": Label.made_at, "decided_at": Label.decided_at, "taken_back_at": Undo.made_at,
    "seconds": Label.seconds,
    "reason": Label.reason, "suggestion": Label.suggestion, "suggestion_probability": Label.suggestion_probability,
    "suggestion_shown": Label.suggestion_shown, "probe": Label.probe_id,
    "encoder_fingerprint": func.coalesce(Probe.encoder_fingerprint, ForeignProbe.encoder_fingerprint),
    "confidence": Label.confidence, "comment": Label.comment,
    "step": Label.step, "kind": literal("label"), "adequacy": null(), "zone": null(),
    "suggestion_told": exists().where(Disclosure.label_id == Label.id).correlate(Label), "of_labels": null(),
}  # fmt: skip
"""What `iter_labels` asks for: plain values, which are four times as fast as objects that could be changed."""


def placed(values: Sequence[Any], study: Study) -> Row:
    """Return where a cell lies, from the values of `PLACE_COLUMNS`.

    A single-cell picture is its own slide, with the cell in its middle.
    """
    cell, slide, x, y, slide_mpp, crop_mpp, slide_width, slide_height, width, height = values
    if x is None or y is None:
        pass
    elif slide_mpp is None or crop_mpp is None:
        width = height = study.crop_px
    else:
        width = height = crop_mpp * study.crop_px / slide_mpp
    return {
        "cell": cell, "slide": slide, "x_px": x, "y_px": y, "slide_mpp": slide_mpp, "crop_mpp": crop_mpp,
        "label_set": study.label_set.id, "split": split_of(study.groups.get(slide, slide)),
        "slide_width_px": slide_width, "slide_height_px": slide_height, "width_px": width, "height_px": height,
    }  # fmt: skip


def _conditions(selection: Selection) -> list[ColumnElement[bool]]:
    wanted = ((Cell.slide_id, selection.slides), (Label.annotator, selection.annotators),
              (Label.category, selection.categories))  # fmt: skip
    conditions: list[ColumnElement[bool]] = [column.in_(values) for column, values in wanted if values]
    if selection.after_label_id:
        conditions.append(Label.id > selection.after_label_id)
    if selection.since is not None:
        conditions.append(Label.made_at >= selection.since)
    if selection.until is not None:
        conditions.append(Label.made_at < selection.until)
    return conditions + conditions_on_cells(selection, Label.cell_id)


def conditions_on_cells(selection: Selection, cell_id: InstrumentedAttribute[str]) -> list[ColumnElement[bool]]:
    """Return the SQL conditions that rows are of cells on which doctors agree, or differ, as asked."""
    conditions: list[ColumnElement[bool]] = []
    if selection.agreement is not None:
        conditions.append(cell_id.in_(cells_with(selection.agreement)))
    if selection.min_share is not None:
        conditions.append(cell_id.in_(cells_agreed(selection.min_share, selection.min_readers)))
    return conditions


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
