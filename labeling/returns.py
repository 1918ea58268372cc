"""Cells that come back to tell how a doctor answers: own repeats, and cells with a verdict. Only reads."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from labeling.answers import counts
from labeling.mixture import GOLD, REPEAT, Shares
from labeling.records import Assignment, Label, Lease, Verdict

REPEAT_AFTER_LABELS = 100
REPEAT_AFTER = timedelta(hours=24)
"""A cell returns to the doctor who decided it after so many other labels and so much time."""


def due(session: Session, annotator: str, coming: int, shares: Shares) -> dict[str, int]:
    """Count the repeats and gold cells that an annotator's next cells should hold.

    Args:
        session: An open transaction.
        annotator: Who asks.
        coming: How many cells he is about to get.
        shares: Parts of the queue.
    """
    query = select(Assignment.arm, func.count()).where(Assignment.annotator == annotator).group_by(Assignment.arm)
    served = {arm: int(count) for arm, count in session.execute(query)}
    total = sum(served.values()) + coming
    return {arm: max(0, int(total * shares.of(arm)) - served.get(arm, 0)) for arm in (REPEAT, GOLD)}


def repeats(annotator: str, now: datetime, exclude: Collection[str]) -> Any:
    """Return a query of the cells that an annotator decided long ago and has not seen again since."""
    later = aliased(Label)
    since = (
        select(func.count())
        .select_from(later)
        .where(later.annotator == annotator, later.id > Label.id)
        .scalar_subquery()
    )
    again = select(Assignment.id).where(
        Assignment.cell_id == Label.cell_id, Assignment.annotator == annotator, Assignment.arm == REPEAT
    )  # fmt: skip
    held = select(Lease.cell_id).where(Lease.cell_id == Label.cell_id, Lease.annotator == annotator)
    return (
        select(Label.cell_id)
        .where(Label.annotator == annotator, counts(), Label.made_at < now - REPEAT_AFTER)
        .where(since >= REPEAT_AFTER_LABELS, ~again.exists(), ~held.exists(), Label.cell_id.not_in(exclude))
        .group_by(Label.cell_id)
        # The id is a keyed hash: the order tells nothing about when a cell was decided.
        .order_by(Label.cell_id)
    )


def gold(annotator: str, exclude: Collection[str]) -> Any:
    """Return a query of the cells that have a verdict and that an annotator has not decided."""
    mine = select(Label.id).where(Label.cell_id == Verdict.cell_id, Label.annotator == annotator)
    held = select(Lease.cell_id).where(Lease.cell_id == Verdict.cell_id, Lease.annotator == annotator)
    newest = select(func.max(Verdict.id)).group_by(Verdict.cell_id)
    return (
        select(Verdict.cell_id)
        .where(Verdict.id.in_(newest), Verdict.category.is_not(None), Verdict.adjudicator != annotator)
        .where(~mine.exists(), ~held.exists(), Verdict.cell_id.not_in(exclude))
        .order_by(Verdict.cell_id)
    )
