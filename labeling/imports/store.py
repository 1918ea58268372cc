"""Labels from files into the tables `labels` and `undos`, each once, however often a file comes."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.db import Database, utc_now
from labeling.foreign_records import ForeignProbe
from labeling.records import IMPORTED, Disclosure, Label, Probe, Undo

IMPORT = "import"
"""Who acted, in the chain of events; the annotator stands in the row."""
HISTORY_COLUMNS = frozenset(column.key for column in Label.__table__.columns) - {
    "id", "key", "cell_id", "annotator", "category",
}  # fmt: skip
"""What a label may bring of its past."""
_ROWS_PER_TRANSACTION = 500

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedLabel:
    """A label that came in a file."""

    cell_id: str
    category: str
    annotator: str = IMPORTED
    key: str | None = None
    """The label's own key, where the file is an export of a study and the annotator is the same."""
    history: Mapping[str, Any] = field(default_factory=dict)
    """Of `HISTORY_COLUMNS`; `made_at` is when it was first stored, anywhere."""
    taken_back_at: datetime | None = None
    encoder_fingerprint: str | None = None
    """Of the probe that `history` names."""
    was_told: bool = False
    """The suggestion was told after the answer."""


@dataclass(slots=True)
class StoreReport:
    """What became of the labels of a file."""

    new: int = 0
    known: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    """Place among the given labels, from 0, and the reason."""


def store_labels(database: Database, labels: Iterable[ImportedLabel]) -> StoreReport:
    """Store labels in their order; doctors who label meanwhile wait for some hundred rows at most.

    Args:
        database: The study's database.
        labels: Cells of the catalogue with their categories.

    Returns:
        How many were new or known already, and which were refused.
    """
    report = StoreReport()
    for batch in batches(enumerate(labels), _ROWS_PER_TRANSACTION):
        with database.write() as session:
            session.info["by"] = IMPORT
            _store(session, batch, report)
    return report


def batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Yield the items in tuples of `size`, the last one shorter (itertools has it from Python 3.12)."""
    source = iter(items)
    while batch := tuple(islice(source, size)):
        yield batch


def _store(session: Session, batch: tuple[tuple[int, ImportedLabel], ...], report: StoreReport) -> None:
    keys = {place: label.key or _key(label) for place, label in batch}
    stored = {row.key: row for row in session.scalars(select(Label).where(Label.key.in_(keys.values())))}
    undo_keys = set(session.scalars(select(Undo.key).where(Undo.key.in_(keys.values()))))
    cells = set(session.scalars(select(Cell.id).where(Cell.id.in_({label.cell_id for _, label in batch}))))
    encoders = _Encoders(session, batch)
    now, taken_back, told = utc_now(), [], []
    for place, label in batch:
        key = keys[place]
        row = stored.get(key)
        if label.cell_id not in cells:
            report.refused[place] = f"cell {label.cell_id}: not in the catalogue; ingest it first."
            continue
        if key in undo_keys or (row is not None and _content(row) != _content_of(label)):
            report.refused[place] = f"key {key}: stored already with another content."
            continue
        if not encoders.fit(label):
            report.refused[place] = encoders.reason(label)
            continue
        if row is None:
            row = stored[key] = _row(label, key, now)
            session.add(row)
            report.new += 1
            told += [row] if label.was_told else []
        else:
            report.known += 1
        if label.taken_back_at is not None:
            taken_back.append((row, label.taken_back_at))
    session.flush()
    session.add_all(Disclosure(label_id=row.id) for row in told)
    encoders.add_new()
    _take_back(session, taken_back)


class _Encoders:
    """Which encoder is behind each probe that labels name: of this study's fits, and as files told it."""

    def __init__(self, session: Session, batch: tuple[tuple[int, ImportedLabel], ...]) -> None:
        self._session, self._new = session, dict[str, str]()
        probes = {_probe(label) for _, label in batch if label.encoder_fingerprint is not None}
        self._known: dict[str | None, str] = {}
        for table in (ForeignProbe, Probe):  # what this study has fitted itself counts
            query = select(table.id, table.encoder_fingerprint).where(table.id.in_(probes))
            self._known.update(session.execute(query).all())

    def fit(self, label: ImportedLabel) -> bool:
        """Return whether a label says nothing else than what is known; what is new is known from then on."""
        probe, encoder = _probe(label), label.encoder_fingerprint
        if probe is None or encoder is None:
            return True
        if probe not in self._known:
            self._known[probe] = self._new[probe] = encoder
        return self._known[probe] == encoder

    def reason(self, label: ImportedLabel) -> str:
        probe = _probe(label)
        return f"probe {probe}: fitted with encoder {self._known[probe]}, not {label.encoder_fingerprint}."

    def add_new(self) -> None:
        self._session.add_all(ForeignProbe(id=probe, encoder_fingerprint=self._new[probe]) for probe in self._new)


def _probe(label: ImportedLabel) -> str | None:
    return label.history.get("probe_id")


def _row(label: ImportedLabel, key: str, now: datetime) -> Label:
    return Label(
        key=key, cell_id=label.cell_id, annotator=label.annotator, category=label.category,
        **{"made_at": now, **label.history},
    )  # fmt: skip


def _take_back(session: Session, rows: list[tuple[Label, datetime]]) -> None:
    ids = [row.id for row, _ in rows]
    done = set(session.scalars(select(Undo.label_id).where(Undo.label_id.in_(ids))))
    for row, moment in rows:
        if row.id not in done:
            done.add(row.id)
            key = f"undo:{hashlib.sha256(row.key.encode()).hexdigest()}"
            session.add(Undo(key=key, label_id=row.id, annotator=row.annotator, made_at=moment))


def _content(row: Label) -> tuple[str, str, str]:
    return row.cell_id, row.annotator, row.category


def _content_of(label: ImportedLabel) -> tuple[str, str, str]:
    return label.cell_id, label.annotator, label.category


def _key(label: ImportedLabel) -> str:
    """Return a key that is the same whenever the same label comes again."""
    parts = [label.annotator, label.cell_id, label.category]
    moment = label.history.get("decided_at") or label.history.get("made_at")
    if moment is not None:
        parts.append(moment.isoformat())
    return f"import:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"
