"""What stands on record: current labels, a doctor's last ones, how far the study is. Only reads.

A label is current when it is its annotator's newest for that cell and was not taken back.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.db import Database
from labeling.records import IMPORTED, Label, Undo


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentLabel:
    """The newest label of one annotator for one cell that was not taken back."""

    label_id: int
    cell_id: str
    annotator: str
    category: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentLabel:
    """One of an annotator's last labels; `key` is what an undo names."""

    key: str
    cell_id: str
    category: str
    made_at: datetime
    suggestion: str | None
    probability: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far the study is: cells with a doctor's current label, and all cells."""

    labelled_by_me: int
    labelled: int
    cells: int


def current_labels(session: Session, *, include_imported: bool = False) -> list[CurrentLabel]:
    """Return the newest label of each annotator for each cell that was not taken back.

    Args:
        session: An open transaction.
        include_imported: Also the labels that came with the data, under the annotator "imported".

    Returns:
        Ordered by label id.
    """
    newest = select(func.max(Label.id)).where(is_not_undone()).group_by(
        Label.cell_id, Label.annotator
    )  # fmt: skip
    if not include_imported:
        newest = newest.where(Label.annotator != IMPORTED)
    query = select(Label.id, Label.cell_id, Label.annotator, Label.category)
    rows = session.execute(query.where(Label.id.in_(newest)).order_by(Label.id))
    return [
        CurrentLabel(label_id=label_id, cell_id=cell_id, annotator=annotator, category=category)
        for label_id, cell_id, annotator, category in rows
    ]


def recent(database: Database, annotator: str, limit: int) -> list[RecentLabel]:
    """Return an annotator's last labels that he has not taken back, newest first."""
    with database.read() as session:
        rows = session.scalars(
            select(Label).where(Label.annotator == annotator, is_not_undone()).order_by(Label.id.desc()).limit(limit)
        )
        return [
            RecentLabel(
                key=row.key,
                cell_id=row.cell_id,
                category=row.category,
                made_at=row.made_at,
                suggestion=row.suggestion,
                probability=row.suggestion_probability,
            )
            for row in rows
        ]


def progress(database: Database, annotator: str) -> Progress:
    """Count the cells with a current label: this annotator's, any doctor's, and all cells."""
    cells = select(func.count(Label.cell_id.distinct())).where(is_not_undone())
    with database.read() as session:
        return Progress(
            labelled_by_me=session.scalar(cells.where(Label.annotator == annotator)) or 0,
            labelled=session.scalar(cells.where(Label.annotator != IMPORTED)) or 0,
            cells=session.scalar(select(func.count()).select_from(Cell)) or 0,
        )


def is_not_undone() -> ColumnElement[bool]:
    """Return the SQL condition that the row of `labels` was not taken back."""
    return ~exists().where(Undo.label_id == Label.id).correlate(Label)
