"""The chain of events: every label, undo and change of an account, in order, provably unaltered.

The only writer of the table `events`. A row that is added to one of `CHAINED_TABLES` becomes an
event in the same transaction, without its writer having to ask. Each event's hash covers the one
before it; each hash is also appended to a file beside the database (the anchors), so that a chain
that was cut short or computed anew is found too. A copy of that file kept elsewhere, on paper or on
write-once media, protects against somebody who can change both.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, event, insert, select
from sqlalchemy.orm import Session, UOWTransaction

from datasets.db import Base, Database, utc_now
from datasets.transactions import after_commit, is_own
from labeling.records import CHAINED_TABLES, Event

LOG = logging.getLogger(__name__)
START = "0" * 64
"""What the first event's hash covers in place of the one before it."""
ANCHORS_FILE = "anchors.txt"
_TAIL_BYTES = 8000


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The newest event: how many there are, and the hash that stands for all of them."""

    seq: int
    hash: str


def append(session: Session, *, kind: str, by: str, facts: dict[str, Any]) -> None:
    """Add an event that has no row of its own, such as a change of an account.

    Args:
        session: An open write transaction.
        kind: What happened, for example "account added".
        by: Who did it.
        facts: What the event says; strings, numbers, booleans and None.
    """
    _append_all(session, [{"kind": kind, "by": by, "at": utc_now().isoformat(), "facts": facts}])


def head(session: Session) -> Head:
    """Return the newest event; number 0 in an empty chain."""
    row = session.execute(select(Event.seq, Event.hash).order_by(Event.seq.desc()).limit(1)).one_or_none()
    return Head(seq=row[0], hash=row[1]) if row else Head(seq=0, hash=START)


def chain_head(database: Database) -> Head:
    """Return the newest event of a study."""
    with database.read() as session:
        return head(session)


def anchors_path(folder: Path) -> Path:
    """Return where a study's anchors lie: one line `number hash` for each event."""
    return folder / ANCHORS_FILE


def anchor_missing(database: Database) -> None:
    """Anchor the events that a crash between commit and anchor, or an upgrade, has left without one."""
    path = anchors_path(database.folder)
    last = last_anchor(path)
    if chain_head(database).seq <= last:
        return
    with database.write() as session:
        links = session.execute(select(Event.seq, Event.hash).where(Event.seq > last).order_by(Event.seq)).all()
        write_anchors(path, [(seq, digest) for seq, digest in links])


def last_anchor(path: Path) -> int:
    """Return the largest number in the last whole lines of an anchors file, 0 where there is none.

    Several processes append to it: the last line need not be the newest event's.
    """
    if not path.exists():
        return 0
    with path.open("rb") as stream:
        start = max(0, path.stat().st_size - _TAIL_BYTES)
        stream.seek(start)
        lines = stream.read().split(b"\n")[1 if start else 0 : -1]
    anchors = [(number, digest) for number, _, digest in (line.partition(b" ") for line in lines)]
    return max((int(number) for number, digest in anchors if number.isdigit() and len(digest) == len(START)), default=0)


def write_anchors(path: Path, links: Sequence[tuple[int, str]]) -> None:
    """Append a line for each (number, hash); a full disk must not cost a label that is stored."""
    lines = "".join(f"{seq} {digest}\n" for seq, digest in links).encode()
    try:
        # A power cut or a full disk can leave half a line: the next one must not be glued to it.
        start = b"" if _ends_whole(path) else b"\n"
        with path.open("ab") as stream:
            stream.write(start + lines)
    except OSError as error:
        LOG.warning("event %d is stored but not anchored: %s", links[-1][0], error.strerror)


def _ends_whole(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def link_hash(before: str, seq: int, body: str) -> str:
    """Return the hash of an event: SHA-256 of the hash before it, its number and its body."""
    return hashlib.sha256(f"{before}\n{seq}\n{body}".encode()).hexdigest()


def canonical(value: dict[str, Any]) -> str:
    """Return a body's one spelling: sorted keys, no spaces, exact numbers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def row_facts(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row as an event tells it: moments as ISO text in UTC."""
    return {
        name: value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def chained_tables() -> dict[str, Table]:
    """Return the tables whose rows are events, by name."""
    return {name: Base.metadata.tables[name] for name in CHAINED_TABLES}


def _append_all(session: Session, bodies: Sequence[dict[str, Any]]) -> None:
    assert not is_own(session), "an event outside the writers' turn would break the chain"
    newest = head(session)
    before, rows, links = newest.hash, [], []
    for seq, content in enumerate(bodies, start=newest.seq + 1):
        body = canonical(content)
        before = link_hash(before, seq, body)
        rows.append({"seq": seq, "body": body, "hash": before})
        links.append((seq, before))
    session.connection().execute(insert(Event), rows)
    after_commit(session, lambda folder: write_anchors(anchors_path(folder), links))


@event.listens_for(Session, "after_flush")
def _chain_new_rows(session: Session, _context: UOWTransaction) -> None:
    """Make events of the rows that this flush has added."""
    tables = list(chained_tables().values())
    new = [(tables.index(row.__table__), row) for row in session.new if getattr(row, "__table__", None) in tables]
    if not new:
        return
    at = utc_now().isoformat(timespec="microseconds")
    _append_all(
        session, [_row_body(session, row, at) for _, row in sorted(new, key=lambda pair: (pair[0], pair[1].id))]
    )


def _row_body(session: Session, row: Any, at: str) -> dict[str, Any]:
    values = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    by = session.info.get("by") or values.get("annotator") or values.get("adjudicator") or values.get("source")
    via = session.info.get("via")
    told = {"kind": row.__tablename__, "by": by, "at": at, "row": row_facts(values)}
    return told if via is None else {**told, "via": via}
