"""Is the past as it was? Finds the first event that was altered, removed or moved. Only reads."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table, func, select, text
from sqlalchemy.orm import Session

from datasets.db import Database
from labeling.audit import START, anchors_path, chained_tables, link_hash, row_facts
from labeling.records import CHAINED_TABLES, Event

MOST_PROBLEMS = 20
_CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainReport:
    """What a look at the whole chain found."""

    events: int
    head: str
    """Hash of the newest event: it stands for all of them."""
    problems: tuple[str, ...]
    """Sentences, the earliest event first; empty when nothing was changed."""
    first: int | None
    """Number of the first event that is not as it was, None where all are or no number can be given."""


@dataclass(slots=True)
class _Findings:
    by_seq: dict[int, str] = field(default_factory=dict)
    general: list[str] = field(default_factory=list)

    def add(self, seq: int, sentence: str) -> None:
        self.by_seq.setdefault(seq, f"event {seq}: {sentence}")

    def sentences(self) -> tuple[str, ...]:
        found = [self.by_seq[seq] for seq in sorted(self.by_seq)] + self.general
        more = len(found) - MOST_PROBLEMS
        return tuple(found[:MOST_PROBLEMS] + ([f"... and {more} more."] if more > 0 else []))


def check_chain(database: Database, anchors: Sequence[Path] = ()) -> ChainReport:
    """Recompute the chain and hold it against the rows and the anchors.

    Args:
        database: The study's database.
        anchors: Copies of the anchors file kept elsewhere; the one beside the database is always read.

    Returns:
        What was found; `problems` is empty when no event was altered, removed or moved.
    """
    findings = _Findings()
    known: dict[int, str] = {}
    for path in (anchors_path(database.folder), *anchors):
        _read_anchors(path, known, findings)
    with database.read() as session:
        walk = _Walk(session, findings, known)
        walk.run()
        findings.general += _missing_triggers(session)
    for seq in known:
        if seq > walk.seq:
            findings.add(seq, f"is missing: the chain ends at {walk.seq}, the anchors go on.")
    return ChainReport(
        events=walk.events, head=walk.hash, problems=findings.sentences(),
        first=min(findings.by_seq, default=None),
    )  # fmt: skip


class _Walk:
    """One pass over the events in their order."""

    def __init__(self, session: Session, findings: _Findings, anchors: dict[int, str]) -> None:
        self._session, self._findings, self._anchors = session, findings, anchors
        self._tables = chained_tables()
        self._seen: dict[str, set[int]] = {name: set() for name in self._tables}
        self.seq, self.hash, self.events = 0, START, 0

    def run(self) -> None:
        query = select(Event.seq, Event.body, Event.hash).order_by(Event.seq)
        for chunk in self._session.execute(query).partitions(_CHUNK):
            told: dict[str, dict[int, tuple[int, dict[str, Any]]]] = {name: {} for name in self._tables}
            for seq, body, digest in chunk:
                self._link(seq, body, digest)
                self._collect(seq, body, told)
            for name, rows in told.items():
                self._compare(self._tables[name], rows)
        for name, table in self._tables.items():
            self._find_unchained(name, table)

    def _link(self, seq: int, body: str, digest: str) -> None:
        for missing in range(self.seq + 1, min(seq, self.seq + 1 + MOST_PROBLEMS)):
            self._findings.add(missing, "is missing.")
        if link_hash(self.hash, seq, body) != digest and seq == self.seq + 1:
            self._findings.add(
                seq, "its hash does not fit its content and the event before it: one of them was changed."
            )
        if self._anchors.get(seq, digest) != digest:
            self._findings.add(seq, "is not the one that was anchored when it was stored.")
        self.seq, self.hash, self.events = seq, digest, self.events + 1

    def _collect(self, seq: int, body: str, told: dict[str, dict[int, tuple[int, dict[str, Any]]]]) -> None:
        try:
            content = json.loads(body)
            kind, row = content["kind"], content.get("row")
            if kind not in self._tables:
                return
            if row["id"] in self._seen[kind]:
                self._findings.add(seq, f"{kind} {row['id']} was told by an earlier event already.")
            self._seen[kind].add(row["id"])
            told[kind][row["id"]] = (seq, row)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._findings.add(seq, "its content is not readable.")

    def _compare(self, table: Table, told: dict[int, tuple[int, dict[str, Any]]]) -> None:
        if not told:
            return
        rows = self._session.execute(select(table).where(table.c.id.in_(told))).mappings()
        stored = {row["id"]: row_facts(dict(row)) for row in rows}
        for row_id, (seq, facts) in told.items():
            found = stored.get(row_id)
            if found is None:
                self._findings.add(seq, f"its row {row_id} of {table.name} is gone.")
            elif {**dict.fromkeys(found), **facts} != found:
                names = sorted(n for n in {*found, *facts} if found.get(n) != facts.get(n))
                self._findings.add(seq, f"row {row_id} of {table.name} was altered ({', '.join(names)}).")

    def _find_unchained(self, name: str, table: Table) -> None:
        count = self._session.scalar(select(func.count()).select_from(table)) or 0
        if count > len(self._seen[name]) or not self._findings.by_seq:
            ids = self._session.scalars(select(table.c.id).order_by(table.c.id))
            strays = [row_id for row_id in ids if row_id not in self._seen[name]]
            self._findings.general += [f"row {row_id} of {name} has no event." for row_id in strays[:MOST_PROBLEMS]]


def _read_anchors(path: Path, known: dict[int, str], findings: _Findings) -> None:
    if not path.exists():
        return
    for number, line in enumerate(_whole_lines(path), start=1):
        seq, _, digest = line.partition(" ")
        if _is_cut(seq, digest):
            continue
        if not seq.isdigit() or len(digest) != len(START):
            findings.general.append(f"{path.name}: line {number} is not an anchor.")
        elif known.setdefault(int(seq), digest) != digest:
            findings.add(int(seq), "was anchored twice, with different content.")


def _is_cut(seq: str, digest: str) -> bool:
    """Return whether a line is the beginning of an anchor: it says as little as one that is not there."""
    return (not seq or seq.isdigit()) and len(digest) < len(START) and set(digest) <= set("0123456789abcdef")


def _whole_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file; a last one without its end was cut by a power cut and says nothing."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield line[:-1]


def _missing_triggers(session: Session) -> list[str]:
    asked = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'",
    }
    found = set(session.scalars(text(asked[session.get_bind().dialect.name])))
    wanted = [f"{table}_no_{action}" for table in (*CHAINED_TABLES, "events") for action in ("update", "delete")]
    return [f"the guard {name} of the database was taken away." for name in wanted if name not in found]
