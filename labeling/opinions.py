"""What a doctor says of a whole slide: adequacy, transformation zone, opinion. Writes `opinions`.

Never prefilled, never rolled up from cells. Opinions are only ever added; the newest of an annotator
counts, and an empty one withdraws what he said before. Nobody is shown another's here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from datasets.bethesda import LabelSet
from datasets.catalog import Slide
from datasets.db import Database, repeated, utc_now
from datasets.told import told
from labeling.errors import LabelRefused, comment_refused
from labeling.labels import LONGEST_COMMENT, LONGEST_KEY
from labeling.slide_records import Opinion

Adequacy = Literal["satisfactory", "unsatisfactory"]
ADEQUACIES = get_args(Adequacy)
Zone = Literal["present", "absent"]
ZONES = get_args(Zone)
"""Whether endocervical or transformation zone cells are there (The Bethesda System 2014)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpinionEvent:
    """What is said of a slide, as it comes from the browser; None where nothing is said."""

    key: str
    slide_id: str
    adequacy: str | None = None
    zone: str | None = None
    category: str | None = None
    comment: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpinionReceipt:
    """What became of one event; `accepted` means that it is on disk."""

    key: str
    accepted: bool
    reason: str | None = None


@repeated
def record(
    database: Database, annotator: str, events: Sequence[OpinionEvent], *, label_set: LabelSet
) -> list[OpinionReceipt]:
    """Store an annotator's opinions in their order, each key once; a refused one never costs the others."""
    receipts = []
    with database.write(is_urgent=True) as session:
        for event in events:
            try:
                _store(session, annotator, event, label_set)
            except LabelRefused as refusal:
                receipts.append(OpinionReceipt(key=event.key, accepted=False, reason=refusal.reason))
            else:
                receipts.append(OpinionReceipt(key=event.key, accepted=True))
    return receipts


def own(database: Database, annotator: str, slide_id: str) -> list[Opinion]:
    """Return all that an annotator has said of a slide, newest first."""
    mine = (Opinion.annotator == annotator, Opinion.slide_id == slide_id)
    with database.read() as session:
        return list(session.scalars(select(Opinion).where(*mine).order_by(Opinion.id.desc())))


def slide_categories(label_set: LabelSet) -> tuple[str, ...]:
    """Return the answers that can be said of a whole slide: not those that only a picture can have."""
    return tuple(category.id for category in label_set.categories if category.group != "Other")


def _store(session: Session, annotator: str, event: OpinionEvent, label_set: LabelSet) -> None:
    if not 0 < len(event.key) <= LONGEST_KEY:
        raise LabelRefused(f"a key of {len(event.key)} characters; it has 1 to {LONGEST_KEY}.")
    said = (event.adequacy, event.zone, event.category, event.comment)
    stored = session.scalar(select(Opinion).where(Opinion.key == event.key))
    if stored is not None:
        known = (stored.adequacy, stored.zone, stored.category, stored.comment)
        if (stored.annotator, stored.slide_id, *known) != (annotator, event.slide_id, *said):
            raise LabelRefused(f"key {event.key}: stored already with another content.")
        return
    for word, value, choices in (
        ("adequacy", event.adequacy, ADEQUACIES), ("transformation zone", event.zone, ZONES),
        ("opinion", event.category, slide_categories(label_set)),
    ):  # fmt: skip
        if value is not None and value not in choices:
            raise LabelRefused(f"{word} {value[:40]}: there are {', '.join(choices)}.")
    if len(event.comment or "") > LONGEST_COMMENT:
        raise comment_refused(event.comment, LONGEST_COMMENT)
    if session.scalar(select(Slide.id).where(Slide.id == event.slide_id)) is None:
        raise LabelRefused(told("slide {slide}: not in the catalogue; reload the page.", slide=event.slide_id[:20]))
    session.add(
        Opinion(key=event.key, slide_id=event.slide_id, annotator=annotator, adequacy=event.adequacy, zone=event.zone,
                category=event.category, comment=event.comment, made_at=utc_now())
    )  # fmt: skip
    session.flush()
