"""What the doctors' labels say, gathered for the probe and the worklist in one read.

A cell's answers become shares of classes, each answer weighed by its doctor's measured reliability;
"cannot tell" is no class and trains nothing.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datasets.bethesda import LabelSet
from datasets.db import Database, utc_now
from labeling import exemplars, orders
from labeling.answers import CurrentLabel, blind_cells, blind_slides, current_labels
from labeling.mixture import RANDOM, SHARED
from labeling.orders import Order
from labeling.records import Assignment, Label, Lease
from labeling.reference import collect, reliability, soft_labels


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All that a refit needs to know of the database. Labels of the blind test set are in `finished` alone."""

    shares: dict[str, dict[str, float]]
    """For each cell with a usable label: the share of each class in its answers."""
    parents: dict[str, tuple[str, ...]]
    """Cells whose answers name only a parent node: the categories between which it is open."""
    finished: set[str]
    """Cells that need no further reader."""
    waiting: set[str]
    """Shared cells that one doctor has decided and a second one should."""
    second: set[str]
    """Cells whose one reader the study's order names for second reads."""
    order: Order
    random: set[str]
    """Labelled cells that were chosen by chance."""
    leased: set[str]
    exemplars: dict[str, str]
    """Class of each exemplar: learned from, but nobody's answer."""
    blind_slides: set[str]
    """Slides of the blind test set."""
    last_label_id: int


def gather(database: Database, label_set: LabelSet, *, reads: int) -> Evidence:
    """Read labels, assignments and leases.

    Args:
        database: The study's database.
        label_set: Which answers are classes, and which are parents of some.
        reads: How many doctors decide each cell.
    """
    with database.read() as session:
        labels = current_labels(session)
        last = session.scalar(select(func.max(Label.id))) or 0
        arms = arms_of_cells(session)
        leased = set(session.scalars(select(Lease.cell_id).where(Lease.until > utc_now())))
        walled, slides = blind_cells(session), blind_slides(session)
        shown = {i: row.category for i, row in exemplars.standing(session).items() if row.category is not None}
        atlas = exemplars.atlas_cells(session)
        order = orders.current(session)
    by_cell: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        by_cell[label.cell_id].add(label.annotator)
    shared = {cell for cell in by_cell if SHARED in arms.get(cell, ())}
    named = {cell for cell, readers in by_cell.items() if readers & set(order.second_reads_of)}
    wanted = {cell: max(reads, 2) if cell in shared | named else reads for cell in by_cell}
    finished = {cell for cell, readers in by_cell.items() if len(readers) >= wanted[cell]}
    seen = [label for label in labels if label.cell_id not in walled]
    shares = class_shares_of_cells(seen, label_set)
    random = {x.cell_id for x in seen if {RANDOM, SHARED} & arms.get(x.cell_id, set())}
    return Evidence(
        shares=shares, parents=_parents(seen, label_set, set(shares)), finished=finished | atlas,
        waiting=shared - finished - walled,
        second={cell for cell in named - shared - walled if len(by_cell[cell]) == 1}, order=order,
        random=random, leased=leased,
        exemplars={i: name for i, name in shown.items() if name in label_set.class_ids}, blind_slides=slides,
        last_label_id=last,
    )  # fmt: skip


def class_shares_of_cells(labels: list[CurrentLabel], label_set: LabelSet) -> dict[str, dict[str, float]]:
    """Return the share of each class in each cell's answers, weighed by the doctors' reliability."""
    classes = label_set.class_ids
    answers = [(x.cell_id, x.annotator, x.category) for x in labels if x.category in classes]
    if not answers:
        return {}
    votes, cells, _ = collect(answers, classes)
    table = soft_labels(votes, reliability(votes))
    return {
        cell: {classes[place]: float(row[place]) for place in np.flatnonzero(row)}
        for cell, row in zip(cells, table, strict=True)
    }


def arms_of_cells(session: Session) -> dict[str, set[str]]:
    """Return for which purposes each cell was ever handed out."""
    arms: dict[str, set[str]] = defaultdict(set)
    for cell_id, arm in session.execute(select(Assignment.cell_id, Assignment.arm).distinct()):
        arms[cell_id].add(arm)
    return arms


def _parents(labels: list[CurrentLabel], label_set: LabelSet, decided: set[str]) -> dict[str, tuple[str, ...]]:
    """Return cells that have no single class yet, with what their newest parent answer covers."""
    covers = {category.id: category.covers for category in label_set.categories}
    return {
        label.cell_id: covers[label.category]
        for label in labels
        if label.cell_id not in decided and covers.get(label.category)
    }
