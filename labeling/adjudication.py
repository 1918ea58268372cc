"""Where doctors differ, and what was decided then. Writes the table `verdicts`.

A verdict is a row of its own that is never changed: the labels on which it rests stay as they are,
a later verdict of the same cell replaces it, and one without a category opens the cell again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datasets.bethesda import LabelSet
from datasets.catalog import Cell
from datasets.db import Database, repeated, utc_now
from datasets.told import told
from labeling import exemplars
from labeling.answers import CurrentLabel, counts, current_labels
from labeling.errors import LabelRefused, answer_refused, comment_refused
from labeling.openings import needs_reader
from labeling.records import IMPORTED, Label, Verdict
from labeling.reference import dispute_weight

LONGEST_COMMENT = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictEvent:
    """One decision, as it comes from the browser; `key` is made there and is the same on a resend."""

    key: str
    cell_id: str
    category: str | None
    """None withdraws the cell's verdict."""
    comment: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictReceipt:
    """What became of one decision; `accepted` means that it is on disk."""

    key: str
    accepted: bool
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A cell about which annotators differ, with their current labels and the verdict, if any."""

    cell_id: str
    labels: tuple[Label, ...]
    verdict: Verdict | None


@repeated
def decide(
    database: Database, adjudicator: str, events: Sequence[VerdictEvent], *, label_set: LabelSet
) -> list[VerdictReceipt]:
    """Store decisions in their order, in one transaction, each key once.

    Args:
        database: The study's database.
        adjudicator: Who decides; the caller has checked that the account may.
        events: Decisions.
        label_set: The categories that the study knows.

    Returns:
        One receipt per event, in order; when it returns, the accepted ones are on disk.
    """
    receipts = []
    with database.write(is_urgent=True) as session:
        for event in events:
            try:
                _store(session, adjudicator, event, label_set)
            except LabelRefused as refusal:
                receipts.append(VerdictReceipt(key=event.key, accepted=False, reason=refusal.reason))
            else:
                receipts.append(VerdictReceipt(key=event.key, accepted=True))
    return receipts


def _store(session: Session, adjudicator: str, event: VerdictEvent, label_set: LabelSet) -> None:
    stored = session.scalar(select(Verdict).where(Verdict.key == event.key))
    if stored is not None:
        if (stored.adjudicator, stored.cell_id, stored.category) != (adjudicator, event.cell_id, event.category):
            raise LabelRefused(f"key {event.key}: stored already with another content.")
        return
    if event.category is not None and event.category not in label_set.ids:
        raise answer_refused(event.category, label_set)
    if len(event.comment or "") > LONGEST_COMMENT:
        raise comment_refused(event.comment, LONGEST_COMMENT)
    if session.scalar(select(Cell.id).where(Cell.id == event.cell_id)) is None:
        raise LabelRefused(told("cell {cell}: not in the catalogue; reload the page.", cell=event.cell_id))
    standing = _newest_labels(session, [event.cell_id])
    session.add(
        Verdict(key=event.key, cell_id=event.cell_id, adjudicator=adjudicator, category=event.category,
                comment=event.comment, label_ids=[label.id for label in standing], made_at=utc_now())
    )  # fmt: skip
    session.flush()


def cases(database: Database, *, include_imported: bool, asked: str | None = None) -> list[Case]:
    """Return the cells whose current labels differ: the undecided first, those first that change most.

    A verdict changes most where the answers are evenly divided and name categories with few labels:
    such a cell pulls the probe in two directions, and hard.

    Args:
        database: The study's database.
        include_imported: Also compare with the labels that came with the data.
        asked: A cell that comes first and with all its labels, whether they differ or not; left out where it has none.
    """
    with database.read() as session:
        by_cell: dict[str, list[CurrentLabel]] = {}
        for label in current_labels(session, include_imported=include_imported):
            by_cell.setdefault(label.cell_id, []).append(label)
        differing = [cell for cell, found in by_cell.items() if len({label.category for label in found}) > 1]
        verdicts = standing_verdicts(session)
        rows = _newest_labels(session, [*differing, *([asked] if asked is not None else [])])
    labels: dict[str, list[Label]] = {}
    for row in rows:
        if include_imported or row.annotator != IMPORTED or row.cell_id == asked:
            labels.setdefault(row.cell_id, []).append(row)
    found_cases = [Case(cell_id=c, labels=tuple(labels[c]), verdict=verdicts.get(c)) for c in labels]
    totals = Counter(label.category for found in by_cell.values() for label in found)
    weights = {case.cell_id: dispute_weight([x.category for x in case.labels], totals) for case in found_cases}
    return sorted(
        found_cases, key=lambda c: (c.cell_id != asked, c.verdict is not None, -weights[c.cell_id], c.cell_id)
    )


def standing_verdicts(session: Session) -> dict[str, Verdict]:
    """Return the newest verdict of each cell, without the cells whose verdict was withdrawn."""
    newest = select(func.max(Verdict.id)).group_by(Verdict.cell_id)
    rows = session.scalars(select(Verdict).where(Verdict.id.in_(newest), Verdict.category.is_not(None)))
    return {row.cell_id: row for row in rows}


def known_answers(session: Session) -> dict[str, str]:
    """Return the categories of cells that are known: by a verdict, else from the data that came in."""
    imported = {
        x.cell_id: x.category for x in current_labels(session, include_imported=True) if x.annotator == IMPORTED
    }
    verdicts = {cell: row.category for cell, row in standing_verdicts(session).items() if row.category is not None}
    return {**imported, **verdicts}


def reference_cells(
    database: Database, annotator: str, category: str, *, reads: int, limit: int
) -> list[tuple[str, str]]:
    """Return cells that show a category to this annotator, with where that is known from.

    Only cells that he will not be asked about: exemplars and decided ones that need no more readers,
    then his own.

    Args:
        database: The study.
        annotator: For whom.
        category: Id of the answer to be shown.
        reads: How many doctors decide each cell.
        limit: Most cells.

    Returns:
        Pairs of cell and source, "exemplar", "verdict" or "your label".
    """
    now = utc_now()
    with database.read() as session:
        decided = [cell for cell, verdict in standing_verdicts(session).items() if verdict.category == category]
        shown = [cell for cell, row in exemplars.standing(session).items() if row.category == category]
        asked_later = set(
            session.scalars(
                select(Cell.id).where(Cell.id.in_([*decided, *shown]), needs_reader(Cell.id, annotator, reads, now))
            )
        )
        own = session.scalars(
            select(Label.cell_id)
            .where(Label.annotator == annotator, Label.category == category, counts())
            .order_by(Label.id.desc())
            .limit(limit)
        ).all()
    found = {cell: "exemplar" for cell in shown if cell not in asked_later}
    for cell in decided:
        if cell not in asked_later:
            found.setdefault(cell, "verdict")
    for cell in own:
        found.setdefault(cell, "your label")
    return list(found.items())[:limit]


def _newest_labels(session: Session, cell_ids: Sequence[str]) -> list[Label]:
    """Return each annotator's current label of the cells, oldest first."""
    newest = select(func.max(Label.id)).where(counts(), Label.cell_id.in_(cell_ids))
    newest = newest.group_by(Label.cell_id, Label.annotator)
    return list(session.scalars(select(Label).where(Label.id.in_(newest)).order_by(Label.id)))
