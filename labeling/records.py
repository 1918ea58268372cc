"""The tables of labelling. Each names its one writer. Labels are only ever added."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

import labeling.foreign_records  # noqa: F401  (its table)
import labeling.order_records  # noqa: F401  (its table)
import labeling.slide_records  # noqa: F401  (its tables are chained below)
from datasets.db import Base, UtcDateTime
from labeling.guards import guard

IMPORTED = "imported"
"""The annotator to whom labels belong that came with the data."""


class Account(Base):
    """One person. Written by `accounts`; disabled, never deleted."""

    __tablename__ = "accounts"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    """One of `accounts.ROLES`."""
    password_hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SignIn(Base):
    """One signed-in browser. Written by `accounts`; holds the token's hash, never the token."""

    __tablename__ = "sign_ins"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name"))
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Identity(Base):
    """Whose account a person of the hospital's sign-on has. Written by `identities`.

    By the provider's own lasting name: names that people read are given to others after a while.
    """

    __tablename__ = "identities"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name"), unique=True)
    linked_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SignInFailure(Base):
    """Wrong passwords in a row for one name. Written by `accounts`; what guesses are slowed down by.

    The name is hashed: people type their passwords into the wrong field.
    """

    __tablename__ = "sign_in_failures"

    name_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ApiToken(Base):
    """The right of one program to act as an account. Written by `tokens`; holds the hash, never the token."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name"))
    purpose: Mapped[str] = mapped_column(String(64))
    """Which program, in the words of whoever made it."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Its last request, to the minute."""
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Label(Base):
    """One annotator's decision about one cell at one time. Written by `labels`, from files by `imports`; never changed.

    `key` is made in the browser: the same decision sent twice is stored once.
    """

    __tablename__ = "labels"
    __table_args__ = (
        Index("labels_by_cell", "cell_id"),
        Index("labels_by_annotator", "annotator"),
        Index("labels_by_cell_and_annotator", "cell_id", "annotator"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"))
    annotator: Mapped[str] = mapped_column(String(64))
    category: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the server stored it."""
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the key was pressed, by the browser's clock."""
    seconds: Mapped[float | None]
    """How long the cell was on screen."""
    reason: Mapped[str | None] = mapped_column(String(200))
    """Why the cell was shown."""
    suggestion: Mapped[str | None] = mapped_column(String(64))
    suggestion_probability: Mapped[float | None]
    suggestion_shown: Mapped[bool] = mapped_column(default=False)
    """True when the suggestion was on screen before the answer."""
    probe_id: Mapped[str | None] = mapped_column(String(64))
    confidence: Mapped[str | None] = mapped_column(String(10))
    """"sure" or "unsure" where the annotator said so."""
    comment: Mapped[str | None] = mapped_column(String(500))
    """The annotator's own words."""
    step: Mapped[str | None] = mapped_column(String(80))
    """Shared by the labels of one bulk action, which is taken back as one; None: a step of its own."""


class Undo(Base):
    """An annotator took one label back. Written by `labels`; the label itself stays."""

    __tablename__ = "undos"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"), unique=True)
    annotator: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Disclosure(Base):
    """The suggestion that a label names was told after the answer, not before. Written by `labels`."""

    __tablename__ = "disclosures"
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"), primary_key=True)


class Preference(Base):
    """How one person wants the pages. Written by `preferences`; no decision about a cell depends on it."""

    __tablename__ = "preferences"
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name"), primary_key=True)
    language: Mapped[str | None] = mapped_column(String(8))
    keys: Mapped[dict[str, str]] = mapped_column(JSON)


class Event(Base):
    """One link of the chain of all that people decided. Written by `audit`; never changed.

    `hash` covers number, body and the hash before it, so that nothing in the past can be altered,
    removed or moved without being seen.
    """

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """1, 2, 3, ... without a gap, whatever the clock says."""
    body: Mapped[str] = mapped_column(Text)
    """Canonical JSON: kind, by, at, and the row that was added."""
    hash: Mapped[str] = mapped_column(String(64))


class Verdict(Base):
    """An adjudicator's decision about a cell. Written by `adjudication`, from files by `imports`; the newest counts.

    `category` None withdraws the verdicts before it: the cell is open again.
    """

    __tablename__ = "verdicts"
    __table_args__ = (Index("verdicts_by_cell", "cell_id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"))
    adjudicator: Mapped[str] = mapped_column(String(64))
    category: Mapped[str | None] = mapped_column(String(64))
    comment: Mapped[str | None] = mapped_column(String(500))
    label_ids: Mapped[list[int]] = mapped_column(JSON)
    """The labels that stood when the verdict was given."""
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Lease(Base):
    """The right of one annotator to decide a cell until a moment. Written by `leases`."""

    __tablename__ = "leases"
    __table_args__ = (Index("leases_by_annotator", "annotator"),)

    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    annotator: Mapped[str] = mapped_column(String(64), primary_key=True)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(200))
    suggestion: Mapped[str | None] = mapped_column(String(64))
    suggestion_probability: Mapped[float | None]
    probe_id: Mapped[str | None] = mapped_column(String(64))
    """The suggestion of the moment in which the cell was handed out: it is what the label names."""


class Probe(Base):
    """One fit of the linear probe. Written by `suggestions`; its arrays lie in `probes/<id>/`."""

    __tablename__ = "probes"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    encoder_fingerprint: Mapped[str] = mapped_column(String(64))
    last_label_id: Mapped[int]
    num_labels: Mapped[int]
    classes: Mapped[list[str]] = mapped_column(JSON)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Assignment(Base):
    """A cell was handed to an annotator for this purpose. Written by `leases`; kept for the figures.

    A label belongs to its annotator's newest assignment of that cell before it.
    """

    __tablename__ = "assignments"
    __table_args__ = (Index("assignments_by_annotator", "annotator", "cell_id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"))
    annotator: Mapped[str] = mapped_column(String(64))
    arm: Mapped[str] = mapped_column(String(16))
    """One of the arms of `mixture`, or "pool"."""
    served_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Exemplar(Base):
    """A cell that shows a category well. Written by `exemplars`; never changed, the newest of a cell counts.

    `category` None withdraws it. It is nobody's answer: it is in no figure about doctors.
    """

    __tablename__ = "exemplars"
    __table_args__ = (Index("exemplars_by_cell", "cell_id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"))
    category: Mapped[str | None] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(80))
    """The account that marked it, or "atlas" with a name."""
    is_atlas: Mapped[bool]
    """True for a cell that came with an atlas: no doctor is asked about it."""
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BlindSlide(Base):
    """A slide of the blind test set. Written by `blindtest`, once; what doctors say of its cells trains nothing."""

    __tablename__ = "blind_slides"

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), primary_key=True)
    chosen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Candidate(Base):
    """A cell that is worth a doctor's next look, best rank first. Written by `worklist`.

    Made anew at every refit, so that its columns may change without an upgrade: the table's name does.
    """

    __tablename__ = "worklist_items"

    rank: Mapped[int] = mapped_column(primary_key=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"), unique=True)
    arm: Mapped[str] = mapped_column(String(16))
    """One of the arms of `mixture`."""
    reads: Mapped[int] = mapped_column(default=1)
    """How many doctors decide this cell, where that is more than the study's setting."""
    reason: Mapped[str] = mapped_column(String(200))
    score: Mapped[float]
    suggestion: Mapped[str | None] = mapped_column(String(64))
    suggestion_probability: Mapped[float | None]
    probe_id: Mapped[str | None] = mapped_column(String(64))


CHAINED_TABLES = ("labels", "undos", "verdicts", "exemplars", "finds", "opinions")
"""Tables whose every new row becomes an event of the chain."""

for _table in (*CHAINED_TABLES, "events"):
    guard(Base.metadata.tables[_table])
