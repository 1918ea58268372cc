"""What goes over the wire below `/api/v1`: each model is one JSON object of the OpenAPI document."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from app.api.web import LONGEST_NAME

MOST_EVENTS = 200
_NO_NUL = r"^[^\u0000]*$"
"""PostgreSQL stores no text with a NUL in it."""

Text = Annotated[str, StringConstraints(pattern=_NO_NUL)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=_NO_NUL)]
Ids = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z,-]*$")]
"""Ids, separated by commas."""
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""ISO 8601, UTC."""


def _moment(value: Any) -> datetime | None:
    """Read a time with its zone; one that no calendar has in UTC is dropped: it must not cost the answer."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("a text with an ISO 8601 time is needed")  # noqa: TRY004  (pydantic wants a ValueError)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("the time zone is missing")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None


Sent = Annotated[datetime | None, BeforeValidator(_moment, json_schema_input_type=Moment | None)]


class Shape(BaseModel):
    """Nothing is converted in silence: "5" is no number."""

    model_config = ConfigDict(strict=True)


class Problem(Shape):
    """A request that was refused, with the reason as a sentence."""

    error: str = Field(examples=["limit: Input should be less than or equal to 50."])


class Suggestion(Shape):
    """What the probe says of a cell."""

    category: str = Field(examples=["HSIL"])
    probability: float | None = Field(description="0 to 1, calibrated.", examples=[0.83])


class ClassSet(Shape):
    """Classes among which the right one is, with a promised frequency (conformal prediction)."""

    categories: list[str] = Field(description="The likeliest first.", examples=[["HSIL", "ASC-H"]])
    percent: int = Field(description="Of a hundred cells, in how many the right one is among them.", examples=[90])
    labels: int = Field(description="On how many labels the promise rests.", examples=[143])


class Progress(Shape):
    """How far the study is, in cells with a current label."""

    mine: int = Field(description="Labelled by this account.")
    labelled: int = Field(description="Labelled by anybody.")
    cells: int = Field(description="In the study.")


class CellPicture(Shape):
    """A cell and where its picture is."""

    cell: str = Field(examples=["CE-4QX2ZK7NWD3RA"])
    image: str = Field(description="Path of its crop, PNG.", examples=["/api/v1/cells/CE-4QX2ZK7NWD3RA/image"])
    mpp: float | None = Field(description="Micrometres per pixel of the crop; null where nobody knows.")


class CellShown(CellPicture):
    """A cell as it lies before a doctor."""

    plane: float | None = Field(None, description="Focal plane of its crop in micrometres, where there are several.")
    planes: list[float] | None = Field(None, description="All its focal planes; ask for one with `z`.")
    turn: int = Field(
        description="Quarter turns to the right at which to show it: a cell that comes again lies otherwise.",
        ge=0,
        le=3,
    )


class LabelEvent(Shape):
    """One answer about one cell."""

    kind: Literal["label"]
    key: Name = Field(description="Idempotency key, made by the sender: the same key is stored once.")
    cell: Name
    category: Name = Field(description="One of the study's label set.", examples=["HSIL"])
    decided_at: Annotated[Sent, Field(description="When it was decided, by the sender's clock.")] = None
    seconds: float | None = Field(None, description="How long the cell was on screen.")
    confidence: Text | None = Field(None, description="sure or unsure.", examples=["unsure"])
    comment: Text | None = Field(None, description="At most 500 characters.")
    step: Annotated[str, StringConstraints(max_length=LONGEST_NAME, pattern=_NO_NUL)] | None = Field(
        None, description="The same for all labels of one bulk action."
    )


class UndoEvent(Shape):
    """Takes one of the account's own labels back; the label stays on record."""

    kind: Literal["undo"]
    key: Name = Field(description="Idempotency key of the undo itself.")
    label_key: Name = Field(description="The key of the label.")


class Events(Shape):
    """Labels and undos, stored in their order in one transaction."""

    events: list[Annotated[LabelEvent | UndoEvent, Field(discriminator="kind")]] = Field(
        min_length=1, max_length=MOST_EVENTS
    )

    model_config = ConfigDict(
        strict=True,
        json_schema_extra={"examples": [{"events": [
            {"kind": "label", "key": "lab-7-0001", "cell": "CE-4QX2ZK7NWD3RA", "category": "HSIL",
             "decided_at": "2026-05-04T09:30:00+02:00", "seconds": 2.4},
            {"kind": "undo", "key": "lab-7-0002", "label_key": "lab-7-0001"},
        ]}]},
    )  # fmt: skip


class Receipt(Shape):
    """What became of one event."""

    key: str
    accepted: bool = Field(description="True: it is on disk. False: it was refused and changed nothing.")
    reason: str | None = Field(description="Why it was refused.")
    suggestion: Suggestion | None = Field(description="What the probe had said; null where the study hides it.")
    among: ClassSet | None = Field(
        description="The set of classes behind the suggestion; null without one, and while labels are too few."
    )
    kept_back: bool = Field(description="True for a check cell, whose suggestion is never told.")
    asked_because: str | None = Field(description="Why the cell had been asked.")
    foil: bool | None = Field(description="Of a known cell in a gallery page: true where it was missed.")


class Receipts(Shape):
    """One receipt for each event, in their order."""

    receipts: list[Receipt]
    progress: Progress
    edition: str = Field(description="As of the worklist.")


class StepLabel(CellShown):
    """A label of the account, as a page needs it to take it back."""

    key: str
    category: str
    confidence: str | None
    comment: str | None
    suggestion: Suggestion | None
    kept_back: bool
    asked_because: str | None


class Step(Shape):
    """One action: one label, or all of a bulk action."""

    step: str
    labels: list[StepLabel]


class Steps(Shape):
    """Last actions, the newest first."""

    steps: list[Step]


class LabelRow(Shape):
    """A stored label; the names are those of the exported tables."""

    label_id: int
    label_key: str
    cell: str
    slide: str
    annotator: str
    category: str
    label_set: str
    is_current: bool = Field(description="False when it was taken back or replaced by the same annotator.")
    made_at: Moment
    decided_at: Moment | None
    taken_back_at: Moment | None
    seconds: float | None
    confidence: str | None
    comment: str | None
    step: str | None
    reason: str | None = Field(description="Why the cell was shown; only with own labels.")
    suggestion: str | None = Field(description="Only with own labels, and not where the study hides it.")
    suggestion_probability: float | None
    suggestion_shown: bool = Field(description="True when it was on screen before the answer.")
    probe: str | None
    encoder_fingerprint: str | None


class Labels(Shape):
    """A page of labels, the oldest first."""

    labels: list[LabelRow]
    next: int | None = Field(description="Pass it as `after` for the next page; null: this was the last.")


class Cells(Shape):
    """Cells that an account no longer wants to decide."""

    cells: list[Name] = Field(max_length=MOST_EVENTS)
    unseen: bool = Field(
        False, description="They were never on screen: that they were handed out is forgotten; they may come again."
    )
    until: Annotated[Sent, Field(
        description="The `until` of the answer that brought them: one that was asked for again since then stays, for "
        "another page of the account may show it now."
    )] = None  # fmt: skip


class Released(Shape):
    """How many leases have ended."""

    released: int


class CellInfo(CellPicture):
    """A cell and where it lies."""

    slide: str = Field(examples=["SL-7TN2WQ4MXK5PB"])
    x_px: float | None = Field(description="Centre in level-0 pixels of the slide; null: a picture of one cell.")
    y_px: float | None
    slide_mpp: float | None = Field(description="Micrometres per level-0 pixel; null where nobody knows.")
    origin: str = Field(description="imported, or detected by the search for nuclei.")


class CellPage(Shape):
    """A page of cells, by id."""

    cells: list[CellInfo]
    next: str | None = Field(description="Pass it as `after` for the next page; null: this was the last.")


class CellSuggestion(Suggestion):
    """The probe's present guess for a cell."""

    cell: str


class Suggestions(Shape):
    """A page of present suggestions, in the order of the embedding store."""

    probe: str | None = Field(description="Which fit; null: there is none yet.")
    encoder_fingerprint: str | None
    suggestions: list[CellSuggestion]
    next: int | None = Field(description="Pass it as `start` for the next page; null: this was the last.")


class Category(Shape):
    """One answer of the study."""

    id: str
    name: str


class Study(Shape):
    """What the study asks, and how far it is."""

    version: str = Field(description="Of the program.")
    label_set: str
    categories: list[Category]
    reads: int = Field(description="How many doctors decide each cell.")
    suggestions: Literal["after", "shown", "hidden"] = Field(description="When a doctor sees the suggestion.")
    crop_um: float = Field(description="Side of a crop in micrometres.")
    crop_px: int = Field(description="Side of a crop in pixels.")
    slides: int
    progress: Progress
    encoder_fingerprint: str | None = Field(description="Of the present vectors; null: there are none yet.")
    account: str
    role: str
    rights: list[str]
