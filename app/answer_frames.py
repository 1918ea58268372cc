"""Answers that a program brings as a frame or by cell, as events of the labelling desk."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from labeling.errors import LabelRefused
from labeling.labels import LabelEvent

COLUMNS = ("cell", "category", "key", "confidence", "comment", "seconds", "decided_at")
"""What an answer can say; the first two it must."""

Answers = pd.DataFrame | Mapping[str, str]
"""A frame with `COLUMNS`, or category by cell."""


def label_events(answers: Answers, *, annotator: str, batch: str) -> list[LabelEvent]:
    """Return one event for each answer, in order.

    Raises:
        LabelRefused: A column is missing or unknown, or a cell stands twice in one batch without a key.
    """
    if not isinstance(answers, pd.DataFrame):
        answers = pd.DataFrame({"cell": list(answers), "category": list(answers.values())})
    if answers.index.name == "cell" and "cell" not in answers:
        answers = answers.reset_index()
    lacking = [name for name in COLUMNS[:2] if name not in answers]
    unknown = [str(name) for name in answers.columns if name not in COLUMNS]
    if lacking or unknown:
        raise LabelRefused(
            f"columns {list(answers.columns)}: cell and category are needed; beside them {', '.join(COLUMNS[2:])}."
        )
    if "key" not in answers and not answers["cell"].is_unique:
        raise LabelRefused("a cell stands twice in one batch; keep the answer that counts, or name a `key` for each.")
    return [_event(row, annotator, batch) for row in answers.to_dict("records")]


def event_key(*parts: str) -> str:
    """Return a key that is the same whenever the same answer of the same batch comes again."""
    return f"python:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"


def _event(row: dict[Any, Any], annotator: str, batch: str) -> LabelEvent:
    told = {name: value for name, value in row.items() if not pd.isna(value)}
    cell, moment, seconds = str(told.get("cell", "")), told.get("decided_at"), told.get("seconds")
    return LabelEvent(
        key=str(told.get("key") or event_key(annotator, batch, cell)), cell_id=cell,
        category=str(told.get("category", "")), confidence=told.get("confidence"), comment=told.get("comment"),
        seconds=None if seconds is None else float(seconds), decided_at=None if moment is None else _moment(moment),
    )  # fmt: skip


def _moment(value: Any) -> datetime:
    moment: datetime = pd.Timestamp(value).to_pydatetime()
    return moment
