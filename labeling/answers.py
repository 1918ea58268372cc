"""What stands on record: current labels and a doctor's last ones. Only reads.

A label is current when it is its annotator's newest for that cell, was not taken back, and was not given to a foil.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.db import Database
from labeling.mixture import CHECK_REASON, FOIL_REASON
from labeling.records import IMPORTED, BlindSlide, Label, Lease, Undo


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentLabel:
    """The newest label of one annotator for one cell that was not taken back."""

    label_id: int
    cell_id: str
    annotator: str
    category: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One action of an annotator that an undo takes back: one label, or all of a bulk action."""

    id: str
    labels: tuple[Label, ...]
    """Oldest first; none of them was taken back."""


def current_labels(session: Session, *, include_imported: bool = False) -> list[CurrentLabel]:
    """Return the newest label of each annotator for each cell that was not taken back.

    Args:
        session: An open transaction.
        include_imported: Also the labels that came with the data, under the annotator "imported".

    Returns:
        Ordered by label id.
    """
    newest = select(func.max(Label.id)).where(counts()).group_by(
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


def turns(database: Database, annotator: str, cells: Collection[str]) -> dict[str, int]:
    """Return the quarter turns at which an annotator is shown cells, 0 to 3, by cell.

    Drawn by a hash, and one more for each answer of his that stands: a cell that comes again for his
    consistency lies otherwise, so that it is judged and not remembered. All cells are turned, or a turned one would
    be known as a repeat.
    """
    query = select(Label.cell_id, func.count()).where(Label.annotator == annotator, Label.cell_id.in_(cells))
    query = query.where(is_not_undone())
    with database.read() as session:
        before = dict(session.execute(query.group_by(Label.cell_id)).all())
    return {cell_id: _turn(annotator, cell_id, before.get(cell_id, 0)) for cell_id in cells}


def turns_of(database: Database, annotator: str, labels: Sequence[Label]) -> dict[int, int]:
    """Return the quarter turns at which the cells of an annotator's labels lay when he gave them, 0 to 3, by label.

    What he takes back he looks at again as it was.
    """
    query = select(Label.id, Label.cell_id).where(Label.annotator == annotator, is_not_undone())
    with database.read() as session:
        rows = session.execute(query.where(Label.cell_id.in_({label.cell_id for label in labels}))).all()
    before = {label.id: sum(c == label.cell_id and i < label.id for i, c in rows) for label in labels}
    return {label.id: _turn(annotator, label.cell_id, before[label.id]) for label in labels}


def _turn(annotator: str, cell_id: str, num_before: int) -> int:
    return (sha256(f"{annotator} {cell_id}".encode()).digest()[0] + num_before) % 4


def recent_steps(database: Database, annotator: str, limit: int, *, before: str | None = None) -> list[Step]:
    """Return an annotator's last steps that he has not taken back, newest first.

    Args:
        database: The study's database.
        annotator: Whose steps.
        limit: At most this many.
        before: Id of a step; only older ones are returned.
    """
    step_id = func.coalesce(Label.step, Label.key)
    mine = (Label.annotator == annotator, is_not_undone())
    newest = func.max(Label.id)
    query = select(step_id, newest).where(*mine).group_by(step_id).order_by(newest.desc()).limit(limit)
    with database.read() as session:
        if before is not None:
            end = session.scalar(select(newest).where(Label.annotator == annotator, step_id == before))
            query = query.having(newest < (end or 0))
        order = [row[0] for row in session.execute(query)]
        rows = session.scalars(select(Label).where(*mine, step_id.in_(order)).order_by(Label.id))
        by_step: dict[str, list[Label]] = {name: [] for name in order}
        for row in rows:
            by_step[row.step or row.key].append(row)
    return [Step(id=name, labels=tuple(labels)) for name, labels in by_step.items()]


def labels_on_slide(database: Database, annotator: str, slide_id: str) -> list[Label]:
    """Return an annotator's current labels of a slide's cells.

    A cell that he is being asked about is left out: one that comes back to tell how he answers must
    not show what he said before.
    """
    asked = exists().where(Lease.cell_id == Label.cell_id, Lease.annotator == annotator)
    mine = (Label.annotator == annotator, is_not_undone(), ~asked)
    newest = select(func.max(Label.id)).join(Cell, Cell.id == Label.cell_id).where(Cell.slide_id == slide_id, *mine)
    with database.read() as session:
        return list(session.scalars(select(Label).where(Label.id.in_(newest.group_by(Label.cell_id)))))


def settled_among(database: Database, annotator: str, cell_ids: Collection[str]) -> set[str]:
    """Return those of the cells that an annotator has answered and is not asked again."""
    asked = exists().where(Lease.cell_id == Label.cell_id, Lease.annotator == annotator)
    mine = (Label.annotator == annotator, Label.cell_id.in_(cell_ids), is_not_undone(), ~asked)
    with database.read() as session:
        return set(session.scalars(select(Label.cell_id).where(*mine)))


def told_among(database: Database, annotator: str, cell_ids: Collection[str]) -> set[str]:
    """Return those of the cells whose suggestion an annotator may know: answered, and not as a check cell.

    What a check cell's answer measures would be spoilt by a suggestion that is known when the cell comes again.
    """
    checked = (Label.annotator == annotator, Label.cell_id.in_(cell_ids), Label.reason == CHECK_REASON)
    with database.read() as session:
        checks = set(session.scalars(select(Label.cell_id).where(*checked)))
    return settled_among(database, annotator, cell_ids) - checks


def counts() -> ColumnElement[bool]:
    """Return the SQL condition that a row of `labels` says something about its cell.

    Not taken back, and not given to a foil: whoever sweeps over a known cell has not looked at it.
    """
    return and_(is_not_undone(), is_no_foil())


def is_no_foil() -> ColumnElement[bool]:
    """Return the SQL condition that the row of `labels` was not given to a foil."""
    return or_(Label.reason.is_(None), Label.reason != FOIL_REASON)


def blind_slides(session: Session) -> set[str]:
    """Return the slides of the blind test set; empty where none was chosen."""
    return set(session.scalars(select(BlindSlide.slide_id)))


def blind_cells(session: Session) -> set[str]:
    """Return the labelled cells of the blind test set: their labels must reach nothing that is fitted or chosen."""
    is_labelled = exists().where(Label.cell_id == Cell.id)
    return set(session.scalars(select(Cell.id).where(Cell.slide_id.in_(select(BlindSlide.slide_id)), is_labelled)))


def is_not_undone() -> ColumnElement[bool]:
    """Return the SQL condition that the row of `labels` was not taken back."""
    return ~exists().where(Undo.label_id == Label.id).correlate(Label)
