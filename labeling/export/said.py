"""Rows that are no label of a cell: what doctors say of whole slides, and what adjudicators decided."""

from collections.abc import Iterator, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datasets.catalog import Cell, Slide
from labeling.export.rows import (
    COLUMNS,
    PLACE_COLUMNS,
    Row,
    Selection,
    Study,
    conditions_on_cells,
    placed,
    split_of,
)
from labeling.export.stream import dumps
from labeling.records import Label, Verdict
from labeling.slide_records import Opinion

_KEYS_AT_ONCE = 500


def iter_opinions(session: Session, study: Study, selection: Selection) -> Iterator[Row]:
    """Yield what doctors said of whole slides, in the order in which they said it; these rows have no cell.

    `is_current` is True for the newest of an annotator and slide, unless it says nothing. No row where cells are
    chosen by what doctors agree on.
    """
    if selection.agreement is not None or selection.min_share is not None:
        return
    newest = select(func.max(Opinion.id)).group_by(Opinion.slide_id, Opinion.annotator)
    query = select(Opinion, Slide, Opinion.id.in_(newest)).join(Slide, Slide.id == Opinion.slide_id)
    wanted = ((Opinion.slide_id, selection.slides), (Opinion.annotator, selection.annotators),
              (Opinion.category, selection.categories))  # fmt: skip
    query = query.where(*(column.in_(values) for column, values in wanted if values)).order_by(Opinion.id)
    for opinion, slide, is_newest in session.execute(query):
        says = (opinion.adequacy, opinion.zone, opinion.category, opinion.comment)
        is_current = bool(is_newest) and says != (None,) * len(says)
        made_at = opinion.made_at.isoformat()
        if (is_current or not selection.is_current_only) and selection.holds(made_at):
            yield {
                **dict.fromkeys(COLUMNS),
                "label_key": opinion.key, "slide": slide.id, "slide_mpp": slide.mpp, "annotator": opinion.annotator,
                "category": opinion.category, "label_set": study.label_set.id, "is_current": is_current,
                "made_at": made_at, "comment": opinion.comment, "kind": "opinion",
                "split": split_of(study.groups.get(slide.id, slide.id)), "slide_width_px": slide.width_px,
                "slide_height_px": slide.height_px, "adequacy": opinion.adequacy, "zone": opinion.zone,
            }  # fmt: skip


def iter_verdicts(session: Session, study: Study, selection: Selection) -> Iterator[Row]:
    """Yield all verdicts in the order in which they were given; one without a category withdrew those before it.

    `annotator` is the adjudicator, `of_labels` the keys of the labels that stood then, as a JSON list. `is_current` is
    True for the newest of a cell, unless it withdrew.
    """
    newest = select(func.max(Verdict.id)).group_by(Verdict.cell_id)
    query = (
        select(*PLACE_COLUMNS, Verdict, Verdict.id.in_(newest))
        .select_from(Verdict)
        .join(Cell, Cell.id == Verdict.cell_id)
        .join(Slide, Slide.id == Cell.slide_id)
    )
    wanted = ((Cell.slide_id, selection.slides), (Verdict.adjudicator, selection.annotators),
              (Verdict.category, selection.categories))  # fmt: skip
    query = query.where(*(column.in_(values) for column, values in wanted if values)).order_by(Verdict.id)
    query = query.where(*conditions_on_cells(selection, Verdict.cell_id))
    found = session.execute(query).all()  # an adjudicator's decisions are few beside the labels
    keys = _keys_of(session, sorted({number for *_, verdict, _ in found for number in verdict.label_ids}))
    for *place, verdict, is_newest in found:
        made_at, is_current = verdict.made_at.isoformat(), bool(is_newest) and verdict.category is not None
        if (is_current or not selection.is_current_only) and selection.holds(made_at):
            yield {
                **dict.fromkeys(COLUMNS), **placed(place, study),
                "label_key": verdict.key, "annotator": verdict.adjudicator, "category": verdict.category,
                "is_current": is_current, "made_at": made_at, "comment": verdict.comment, "kind": "verdict",
                "of_labels": dumps([keys[number] for number in verdict.label_ids]),
            }  # fmt: skip


def _keys_of(session: Session, numbers: Sequence[int]) -> dict[int, str]:
    """Return the labels' keys by their numbers."""
    keys: dict[int, str] = {}
    for start in range(0, len(numbers), _KEYS_AT_ONCE):
        part = numbers[start : start + _KEYS_AT_ONCE]
        keys.update(session.execute(select(Label.id, Label.key).where(Label.id.in_(part))).all())
    return keys
