"""Cells that show a category well: marked while browsing, or brought along by an atlas.

The only writer of the table `exemplars`. The probe learns from them with a weight of their own, the
criteria show them; they are no doctor's labels and enter no figure about doctors.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datasets.bethesda import LabelSet
from datasets.catalog import Cell
from datasets.db import Database, repeated, utc_now
from datasets.told import told
from labeling.errors import LabelRefused
from labeling.records import BlindSlide, Exemplar


@dataclass(slots=True)
class AtlasReport:
    """What became of an atlas."""

    new: int = 0
    known: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Cell and reason."""


@repeated
def mark(
    database: Database, by: str, cell_id: str, category: str | None, *, key: str, label_set: LabelSet
) -> None:  # fmt: skip
    """Mark a cell as an exemplar of a category, or withdraw the mark.

    Args:
        database: The study's database.
        by: The account.
        cell_id: Of the catalogue, on no slide of the blind test set.
        category: A class of the label set; None withdraws.
        key: Made in the browser: the same mark sent twice is stored once.
        label_set: The study's answers.

    Raises:
        LabelRefused: The mark does not fit, with the reason.
    """
    with database.write() as session:
        _store(session, by, cell_id, category, key, label_set, is_atlas=False)


@repeated
def add_atlas(
    database: Database, name: str, cells: Iterable[tuple[str, str]], *, label_set: LabelSet
) -> AtlasReport:  # fmt: skip
    """Make exemplars of the cells of an atlas; running it again changes nothing.

    Args:
        database: The study's database.
        name: Of the atlas, at most 64 characters.
        cells: Cell and class.
        label_set: The study's answers.
    """
    report = AtlasReport()
    with database.write() as session:
        for cell_id, category in cells:
            words = "\0".join((name, cell_id, category))
            key = f"atlas:{hashlib.sha256(words.encode()).hexdigest()}"
            try:
                is_new = _store(session, f"atlas {name}", cell_id, category, key, label_set, is_atlas=True)
            except LabelRefused as refusal:
                report.refused.append((cell_id, str(refusal)))
                continue
            report.new += is_new
            report.known += not is_new
    return report


def standing(session: Session) -> dict[str, Exemplar]:
    """Return the exemplars as they stand, by cell; none of them lies on a slide of the blind test set."""
    newest = select(func.max(Exemplar.id)).group_by(Exemplar.cell_id)
    walled = select(Cell.id).where(Cell.slide_id.in_(select(BlindSlide.slide_id)))
    query = select(Exemplar).where(
        Exemplar.id.in_(newest), Exemplar.category.is_not(None), Exemplar.cell_id.not_in(walled)
    )  # fmt: skip
    return {row.cell_id: row for row in session.scalars(query.order_by(Exemplar.id))}


def atlas_cells(session: Session) -> set[str]:
    """Return the cells that came with an atlas, withdrawn ones too: no doctor is asked about them."""
    return set(session.scalars(select(Exemplar.cell_id).where(Exemplar.is_atlas).distinct()))


def _store(
    session: Session, source: str, cell_id: str, category: str | None, key: str, label_set: LabelSet, *, is_atlas: bool
) -> bool:
    stored = session.scalar(select(Exemplar).where(Exemplar.key == key))
    if stored is not None:
        if (stored.cell_id, stored.category, stored.source) != (cell_id, category, source):
            raise LabelRefused(f"key {key}: stored already with another content.")
        return False
    if category is not None and category not in label_set.class_ids:
        raise LabelRefused(
            told(
                "{category}: no class of the label set ({known}).",
                category=category, known=", ".join(label_set.class_ids),
            )
        )  # fmt: skip
    cell = session.get(Cell, cell_id)
    if cell is None:
        raise LabelRefused(told("cell {cell}: not in the catalogue; reload the page.", cell=cell_id))
    if session.get(BlindSlide, cell.slide_id) is not None:
        raise LabelRefused(told("this cell is of the blind test set, from which nothing may learn."))
    session.add(
        Exemplar(key=key, cell_id=cell_id, category=category, source=source, is_atlas=is_atlas, made_at=utc_now())
    )
    session.flush()
    return True
