"""Which labels count, and which cells doctors agree on, as SQL conditions: rows stream, nothing is gathered."""

from typing import Literal

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import aliased

from labeling.answers import counts
from labeling.records import IMPORTED, Label, Undo, Verdict

AgreementKind = Literal["agree", "differ", "adjudicated"]
AGREEMENTS: tuple[AgreementKind, ...] = ("agree", "differ", "adjudicated")
"""At least two doctors and one answer; at least two answers; a standing verdict."""
_DECIMALS = 1e-9


def is_current() -> ColumnElement[bool]:
    """Return the SQL condition that a label counts: asked row by row, so that rows can stream."""
    newer = aliased(Label)
    newer_undo = exists().where(Undo.label_id == newer.id)
    replaced = exists().where(
        newer.cell_id == Label.cell_id, newer.annotator == Label.annotator, newer.id > Label.id, ~newer_undo
    )  # fmt: skip
    return and_(counts(), ~replaced.correlate(Label))


def cells_with(kind: AgreementKind) -> Select[str]:
    """Return the query of the cells about which doctors agree or differ, or which have a verdict."""
    if kind == "adjudicated":
        newest = select(func.max(Verdict.id)).group_by(Verdict.cell_id)
        return select(Verdict.cell_id).where(Verdict.id.in_(newest), Verdict.category.is_not(None))
    votes = _votes().subquery()
    cells = select(votes.c.cell_id).group_by(votes.c.cell_id)
    if kind == "agree":
        return cells.having(func.count() == 1, func.sum(votes.c.readers) >= 2)
    return cells.having(func.count() > 1)


def cells_agreed(min_share: float, min_readers: int) -> Select[str]:
    """Return the query of the cells whose commonest answer has a share of the doctors' current labels.

    Args:
        min_share: 0 to 1.
        min_readers: At least so many doctors have decided the cell.
    """
    votes = _votes().subquery()
    total = func.sum(votes.c.readers)
    return select(votes.c.cell_id).group_by(votes.c.cell_id).having(
        total >= min_readers, func.max(votes.c.readers) >= (min_share - _DECIMALS) * total
    )  # fmt: skip


def _votes() -> Select[str, int]:
    """Return how many doctors give each answer to each cell; what came with the data is no doctor."""
    readers = func.count().label("readers")
    return select(Label.cell_id, readers).where(is_current(), Label.annotator != IMPORTED).group_by(
        Label.cell_id, Label.category
    )  # fmt: skip
