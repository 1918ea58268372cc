"""Known cells mixed into a sweep, so that a careless one is noticed: which ones, and what became of them.

A foil is a cell of which another category is known than the one that its page looks like. Whoever gives
it the sweep's answer has not looked. That label is kept like any other, but `answers.counts` leaves it
out: it trains nothing, agrees with nobody, and the cell still waits for its reader.
"""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from datasets.bethesda import LabelSet
from datasets.db import Database, utc_now
from labeling.adjudication import known_answers
from labeling.answers import blind_cells
from labeling.leases import Offer
from labeling.mixture import FOIL, FOIL_REASON
from labeling.records import Assignment, Label, Lease


@dataclass(frozen=True, kw_only=True, slots=True)
class Care:
    """What a doctor did with the foils that he answered for the first time."""

    noticed: int
    missed: int
    """Given another answer than the known one, together with other cells."""


def how_many(page: int, percent: int, draw: random.Random) -> int:
    """Return how many foils a page gets: its share, the fraction by chance."""
    wanted = page * percent / 100
    return int(wanted) + (draw.random() < wanted % 1)


def candidates(
    known: Mapping[str, str], looks_like: str, label_set: LabelSet, *, suggested: Mapping[str, str] | None
) -> list[str]:
    """Return the cells that may be foils of a page.

    Args:
        known: Known category of cells.
        looks_like: The category that the page looks like.
        label_set: Only its single categories are known surely enough.
        suggested: Where the page shows its suggestions: those of the known cells. Then only a cell of which
            the probe itself says `looks_like` is a foil, because the page must not show an untrue suggestion.
    """
    classes = set(label_set.class_ids) - {looks_like}
    return [
        cell for cell, category in known.items()
        if category in classes and (suggested is None or suggested.get(cell) == looks_like)
    ]  # fmt: skip


def lend(
    database: Database, annotator: str, offers: Collection[Offer], *, most: int, lease_seconds: int
) -> list[str]:  # fmt: skip
    """Lease foils to an annotator; cells that he has answered or holds are left out.

    A foil's lease keeps nobody else from the cell, and its label closes it for nobody.

    Args:
        database: The study.
        annotator: Who gets them.
        offers: Known cells with what they are taken for.
        most: How many at most.
        lease_seconds: How long they stay with him.

    Returns:
        The cells that were lent.
    """
    now = utc_now()
    cells = [offer.cell_id for offer in offers]
    with database.write_own(annotator) as session:
        answered = select(Label.cell_id).where(Label.annotator == annotator, Label.cell_id.in_(cells))
        held = select(Lease.cell_id).where(Lease.annotator == annotator, Lease.cell_id.in_(cells))
        taken = {*session.scalars(answered), *session.scalars(held)}
        lent = [offer for offer in offers if offer.cell_id not in taken][:most]
        if lent:
            session.execute(insert(Lease), [
                {"cell_id": o.cell_id, "annotator": annotator, "until": now + timedelta(seconds=lease_seconds),
                 "reason": FOIL_REASON, "suggestion": o.suggestion, "suggestion_probability": o.probability,
                 "probe_id": o.probe_id} for o in lent
            ])  # fmt: skip
            session.execute(insert(Assignment), [
                {"cell_id": o.cell_id, "annotator": annotator, "arm": FOIL, "served_at": now} for o in lent
            ])  # fmt: skip
    return [offer.cell_id for offer in lent]


def known(database: Database) -> dict[str, str]:
    """Return the cells that are known, with their categories; none of the blind test set."""
    with database.read() as session:
        walled = blind_cells(session)
        return {cell: category for cell, category in known_answers(session).items() if cell not in walled}


def missed(database: Database, label_keys: Collection[str], label_set: LabelSet) -> dict[str, bool]:
    """Return, of those labels that were given to foils, whether the foil was missed; by key."""
    with database.read() as session:
        rows = session.scalars(select(Label).where(Label.key.in_(label_keys), Label.reason == FOIL_REASON)).all()
        truth = known_answers(session) if rows else {}
    return {row.key: _is_missed(row, truth.get(row.cell_id), label_set) for row in rows}


def care(database: Database, label_set: LabelSet) -> dict[str, Care]:
    """Count each doctor's foils by the first answer to each; what is corrected after being told counts as it was."""
    with database.read() as session:
        truth = known_answers(session)
        firsts = _first_answers(session)
    found: dict[str, list[bool]] = {}
    for label in firsts:
        found.setdefault(label.annotator, []).append(_is_missed(label, truth.get(label.cell_id), label_set))
    return {who: Care(noticed=len(rows) - sum(rows), missed=sum(rows)) for who, rows in sorted(found.items())}


def _first_answers(session: Session) -> list[Label]:
    rows = session.scalars(select(Label).where(Label.reason == FOIL_REASON).order_by(Label.id))
    firsts: dict[tuple[str, str], Label] = {}
    for row in rows:
        firsts.setdefault((row.annotator, row.cell_id), row)
    return list(firsts.values())


def _is_missed(label: Label, truth: str | None, label_set: LabelSet) -> bool:
    """Tell a sweep over a foil from a judgement: an answer of its own, and one that leaves it open, is none."""
    covers = {category.id: category.covers for category in label_set.categories}
    is_open = label.category not in label_set.class_ids and truth in covers.get(label.category, ())
    return truth is not None and label.step is not None and label.category != truth and not is_open
