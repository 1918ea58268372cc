"""Doctors' decisions: stored once, taken back by a second row, never changed or deleted.

The writer of the tables `labels`, `undos` and `disclosures`, beside `imports.store` for labels that come in files.
Knows no probe and no web page.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, literal, or_, select
from sqlalchemy.orm import Session

from datasets.bethesda import LabelSet
from datasets.catalog import Cell
from datasets.db import Database, repeated, utc_now
from datasets.told import told
from datasets.transactions import insert_into
from labeling.errors import LabelRefused, answer_refused, comment_refused
from labeling.mixture import CHECK_REASON
from labeling.records import IMPORTED, Disclosure, Label, Lease, Undo

LONGEST_KEY = 80
"""Characters of an event's key: the width of its column."""
LONGEST_COMMENT = 500
"""Characters of a comment: the width of its column."""
CONFIDENCES = ("unsure", "sure")
"""What an annotator can say of the own answer; saying nothing is the rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelEvent:
    """One answer, as it comes from the browser; `key` is made there and is the same on a resend."""

    key: str
    cell_id: str
    category: str
    decided_at: datetime | None = None
    seconds: float | None = None
    confidence: str | None = None
    comment: str | None = None
    step: str | None = None
    """The same for all labels of one bulk action."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoEvent:
    """An annotator takes his label `label_key` back."""

    key: str
    label_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LateGuess:
    """What the probe says at the answer, for a cell that was handed out before there was a probe."""

    category: str
    probability: float
    probe_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What became of one event; `accepted` means that it is on disk."""

    key: str
    accepted: bool
    reason: str | None = None
    """Why it was refused."""
    suggestion: str | None = None
    """What the probe said when the cell was handed out; where there was none yet, at the answer."""
    probability: float | None = None
    label_id: int | None = None
    asked_because: str | None = None
    """Why the cell had been shown."""


@repeated
def record(
    database: Database,
    annotator: str,
    events: Sequence[LabelEvent | UndoEvent],
    *,
    label_set: LabelSet,
    shown: bool = False,
    tells: bool = False,
    late: Mapping[str, LateGuess] | None = None,
    reads: int = 1,
    lease_seconds: int = 600,
    via: str | None = None,
) -> list[Receipt]:
    """Store an annotator's events in their order, in one transaction, each key once.

    A refused event never costs the others. A key that is stored already with the same content is
    accepted again, so a browser may resend until it has the receipts. A label takes reason and
    suggestion from the annotator's lease, also an expired one, and ends it.

    Args:
        database: The study's database.
        annotator: Who decided.
        events: Labels and undos.
        label_set: The categories that the study knows.
        shown: True when the study shows the suggestion before the answer.
        tells: True when the receipts' suggestions are told to the annotator; it is noted for each label.
            Those of check cells never are: they measure something.
        late: Present suggestions by cell, for labels whose cell was handed out without one.
        reads: How many doctors see each cell; an undone cell is not leased again where that many
            others hold it.
        lease_seconds: How long a cell stays with the annotator after an undo.
        via: By which program, told in the chain of events; None: by the annotator's own hand.

    Returns:
        One receipt per event, in order; when it returns, the accepted ones are on disk.
    """
    with database.write(is_urgent=True, owner=annotator) as session:
        session.info["via"] = via
        desk = _Desk(session, annotator, label_set, shown, tells, late or {}, reads, lease_seconds)
        return [desk.accept(event) for event in events]


@dataclass(frozen=True, slots=True)
class _Desk:
    """Takes one annotator's events inside one open write transaction."""

    session: Session
    annotator: str
    label_set: LabelSet
    shown: bool
    tells: bool
    late: Mapping[str, LateGuess]
    reads: int
    lease_seconds: int

    def accept(self, event: LabelEvent | UndoEvent) -> Receipt:
        try:
            self._check_key(event)
            label = self._label(event) if isinstance(event, LabelEvent) else self._undo(event)
        except LabelRefused as refusal:
            return Receipt(key=event.key, accepted=False, reason=refusal.reason)
        return Receipt(
            key=event.key,
            accepted=True,
            suggestion=label.suggestion,
            probability=label.suggestion_probability,
            label_id=label.id,
            asked_because=label.reason,
        )

    def _check_key(self, event: LabelEvent | UndoEvent) -> None:
        if self.annotator == IMPORTED:
            raise LabelRefused(
                f'the name "{IMPORTED}" belongs to the labels that came with the data; sign in under your own name.'
            )
        if not 0 < len(event.key) <= LONGEST_KEY:
            raise LabelRefused(f"a key of {len(event.key)} characters; it has 1 to {LONGEST_KEY}.")
        other = Undo if isinstance(event, LabelEvent) else Label
        if self.session.scalar(select(other.id).where(other.key == event.key)) is not None:
            raise LabelRefused(f"key {event.key}: stored already for another event.")

    def _label(self, event: LabelEvent) -> Label:
        stored = self.session.scalar(select(Label).where(Label.key == event.key))
        if stored is not None:
            if (stored.annotator, stored.cell_id, stored.category) != (
                self.annotator, event.cell_id, event.category,
            ):  # fmt: skip
                raise LabelRefused(f"key {event.key}: stored already with another content.")
            return stored
        self._check_label(event)
        lease = self.session.get(Lease, (event.cell_id, self.annotator), populate_existing=True)
        label = Label(
            key=event.key,
            cell_id=event.cell_id,
            annotator=self.annotator,
            category=event.category,
            made_at=utc_now(),
            decided_at=event.decided_at,
            seconds=_plausible_seconds(event.seconds),
            confidence=event.confidence,
            comment=event.comment,
            step=event.step,
        )
        if lease is not None:
            self._name_suggestion(label, lease)
            self.session.execute(delete(Lease).where(Lease.cell_id == event.cell_id, Lease.annotator == self.annotator))
        self.session.add(label)
        self.session.flush()
        if self.tells and label.suggestion is not None and label.reason != CHECK_REASON:
            self.session.add(Disclosure(label_id=label.id))
        return label

    def _name_suggestion(self, label: Label, lease: Lease) -> None:
        label.reason = lease.reason
        label.suggestion, label.suggestion_probability = lease.suggestion, lease.suggestion_probability
        label.probe_id = lease.probe_id
        is_check = lease.reason == CHECK_REASON
        was_on_screen = self.shown and lease.suggestion is not None and not is_check
        guess = self.late.get(label.cell_id)
        if lease.suggestion is None and guess is not None and not is_check:
            label.suggestion, label.suggestion_probability = guess.category, guess.probability
            label.probe_id = guess.probe_id
        # After an undo the doctor knows what he was told: that answer is not blind any more.
        label.suggestion_shown = label.suggestion is not None and (was_on_screen or self._was_told(label.cell_id))

    def _was_told(self, cell_id: str) -> bool:
        mine = select(Label.id).where(Label.cell_id == cell_id, Label.annotator == self.annotator)
        told = or_(Label.suggestion_shown, exists().where(Disclosure.label_id == Label.id))
        return self.session.scalar(mine.where(told).limit(1)) is not None

    def _check_label(self, event: LabelEvent) -> None:
        if event.category not in self.label_set.ids:
            raise answer_refused(event.category, self.label_set)
        if event.decided_at is not None and event.decided_at.tzinfo is None:
            raise LabelRefused(f"time {event.decided_at.isoformat()}: no time zone.")
        if event.confidence not in (None, *CONFIDENCES):
            raise LabelRefused(f"confidence {event.confidence}: there are {', '.join(CONFIDENCES)}.")
        if len(event.comment or "") > LONGEST_COMMENT:
            raise comment_refused(event.comment, LONGEST_COMMENT)
        if self.session.scalar(select(Cell.id).where(Cell.id == event.cell_id)) is None:
            raise LabelRefused(told("cell {cell}: not in the catalogue; reload the page.", cell=event.cell_id))

    def _undo(self, event: UndoEvent) -> Label:
        label = self.session.scalar(select(Label).where(Label.key == event.label_key))
        if label is None:
            raise LabelRefused(f"label {event.label_key}: nothing of that key is stored.")
        if label.annotator != self.annotator:
            raise LabelRefused(told("only the annotator of a label takes it back."))
        same_key = self.session.scalar(select(Undo.label_id).where(Undo.key == event.key))
        if same_key not in (None, label.id):
            raise LabelRefused(f"key {event.key}: stored already for another label.")
        if self.session.scalar(select(Undo.id).where(Undo.label_id == label.id)) is None:
            now = utc_now()
            self.session.add(Undo(key=event.key, label_id=label.id, annotator=self.annotator, made_at=now))
            self.session.flush()
            self._lease_again(label, now)
        return label

    def _lease_again(self, label: Label, now: datetime) -> None:
        others = (
            select(func.count())
            .select_from(Lease)
            .where(
                Lease.cell_id == label.cell_id,
                Lease.annotator != self.annotator,
                Lease.until > now,
            )
            .scalar_subquery()
        )
        lease = {
            "cell_id": label.cell_id,
            "annotator": self.annotator,
            "until": now + timedelta(seconds=self.lease_seconds),
            "reason": label.reason or "taken back",
            "suggestion": label.suggestion,
            "suggestion_probability": label.suggestion_probability,
            "probe_id": label.probe_id,
        }
        columns = [literal(value, getattr(Lease, name).type).label(name) for name, value in lease.items()]
        statement = insert_into(self.session, Lease).from_select(
            list(lease), select(*columns).where(others < self.reads)
        )
        self.session.execute(
            statement.on_conflict_do_update(index_elements=["cell_id", "annotator"], set_={"until": lease["until"]})
        )


def _plausible_seconds(seconds: float | None) -> float | None:
    """Drop a time that no clock can have measured: it must not cost the doctor his answer."""
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None
