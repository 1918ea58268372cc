"""How far the study is, counted on from the last time: counting all labels anew takes too long after each answer.

Labels, undos and cells are only ever added, in the order of their numbers. So the cells that new ones speak of are all
that can have changed.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Row, func, select, union
from sqlalchemy.orm import Session

from datasets import catalog
from datasets.db import Database
from labeling.answers import counts, is_no_foil
from labeling.records import IMPORTED, Label, Undo

_AT_ONCE = 500
"""Cells that are asked for in one statement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far the study is: cells with a doctor's current label, and all cells."""

    mine: int
    labelled: int
    cells: int


@dataclass(frozen=True, slots=True)
class _Marks:
    """The newest label, undo and cell that were counted, by number."""

    label: int
    undo: int
    cell: int


class ProgressCounter:
    """Counts the cells with a current label; safe to ask from several threads.

    Args:
        database: The study's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._marks: _Marks | None = None
        self._mine = Counter[str]()
        self._labelled = self._cells = 0

    def of(self, annotator: str) -> Progress:
        """Count the cells with a current label: this annotator's, any doctor's, and all cells."""
        with self._lock, self._database.read() as session:
            marks = _marks(session)
            if self._marks is None:
                self._count_all(session)
            elif marks != self._marks:
                self._count_on(session, self._marks, marks)
            self._marks = marks
            return Progress(mine=self._mine[annotator], labelled=self._labelled, cells=self._cells)

    def _count_all(self, session: Session) -> None:
        cells = func.count(Label.cell_id.distinct())
        by_annotator = session.execute(select(Label.annotator, cells).where(counts()).group_by(Label.annotator))
        self._mine = Counter({row[0]: row[1] for row in by_annotator})
        self._labelled = session.scalar(select(cells).where(counts(), Label.annotator != IMPORTED)) or 0
        self._cells = catalog.count_cells(session)

    def _count_on(self, session: Session, before: _Marks, now: _Marks) -> None:
        new = catalog.count_cells(session, after=before.cell) if now.cell != before.cell else 0
        taken_back = select(Label.cell_id).join(Undo, Undo.label_id == Label.id).where(Undo.id > before.undo)
        changed = session.scalars(union(select(Label.cell_id).where(Label.id > before.label), taken_back)).all()
        was, standing = set[tuple[str, str]](), set[tuple[str, str]]()
        for start in range(0, len(changed), _AT_ONCE):
            some = changed[start : start + _AT_ONCE]
            rows = select(Label.id, Label.annotator, Label.cell_id, Undo.id).outerjoin(Undo, Undo.label_id == Label.id)
            told: Iterable[Row[int, str, str, int | None]] = session.execute(
                rows.where(Label.cell_id.in_(some), is_no_foil())
            )
            for label, annotator, cell, undo in told:
                if label <= before.label and (undo is None or undo > before.undo):
                    was.add((annotator, cell))
                if undo is None:
                    standing.add((annotator, cell))
        self._mine.update(Counter(annotator for annotator, _ in standing))
        self._mine.subtract(Counter(annotator for annotator, _ in was))
        self._labelled += len(_cells_of_doctors(standing)) - len(_cells_of_doctors(was))
        self._cells += new


def _marks(session: Session) -> _Marks:
    label, undo = (session.scalar(select(func.max(table.id))) or 0 for table in (Label, Undo))
    return _Marks(label, undo, catalog.last_cell_number(session))


def _cells_of_doctors(pairs: Iterable[tuple[str, str]]) -> set[str]:
    return {cell for annotator, cell in pairs if annotator != IMPORTED}
