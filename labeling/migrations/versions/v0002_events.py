"""Labels and undos become a chain of events; the ones that are there are chained in their order.

Spelled out here and not shared with `labeling.audit`: what this step did must never change.
"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BATCH = 1000


def upgrade() -> None:
    """Add what a label can say since then, and the table `events` that tells what was stored so far."""
    for name, length in (("confidence", 10), ("comment", 500), ("step", 80)):
        op.add_column("labels", sa.Column(name, sa.String(length)))
    # The next refit fills `worklist_items` in its place.
    op.execute("DROP TABLE IF EXISTS candidates")
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("labels_by_cell_and_annotator", "labels", ["cell_id", "annotator"])
    _chain_stored_rows(op.get_bind())
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER events_no_{action.lower()} BEFORE {action} ON events "
            "BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END"
        )


def _chain_stored_rows(connection: sa.Connection) -> None:
    # By time; of what bears the same time, labels before undos. Ties keep the order of their numbers.
    order = sa.text(
        "SELECT made_at, 0 AS place, id, 'labels' AS kind FROM labels UNION ALL "
        "SELECT made_at, 1, id, 'undos' FROM undos ORDER BY 1, 2, 3"
    )
    before, rows = "0" * 64, []
    for seq, (_, _, row_id, kind) in enumerate(connection.execute(order).all(), start=1):
        found = connection.execute(sa.text(f"SELECT * FROM {kind} WHERE id = :id"), {"id": row_id})  # noqa: S608
        body = _body(kind, dict(found.mappings().one()))
        before = hashlib.sha256(f"{before}\n{seq}\n{body}".encode()).hexdigest()
        rows.append({"seq": seq, "body": body, "hash": before})
        if len(rows) == _BATCH:
            _insert(connection, rows)
            rows = []
    _insert(connection, rows)


def _insert(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.text("INSERT INTO events (seq, body, hash) VALUES (:seq, :body, :hash)"), rows)


def _body(kind: str, row: dict[str, Any]) -> str:
    if "suggestion_shown" in row:
        row["suggestion_shown"] = bool(row["suggestion_shown"])
    content = {"kind": kind, "by": row["annotator"], "at": row["made_at"], "row": row, "chained_by": "upgrade 0002"}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
