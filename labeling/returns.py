"""Cells that come back to tell how a doctor answers: own repeats, and cells with a verdict. Only reads."""

from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, literal, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from datasets.db import UtcDateTime
from labeling.answers import counts
from labeling.mixture import CHECK_REASON, GOLD, REPEAT, Shares
from labeling.openings import AMONG, MOST, NOTHING, UNTIL, WHO, WITHOUT
from labeling.records import Assignment, Label, Lease, Verdict

REPEAT_AFTER_LABELS = 100
REPEAT_AFTER = timedelta(hours=24)
"""A cell returns to the doctor who decided it after so many other labels and so much time."""
LONG_AGO: Any = bindparam("long_ago", type_=UtcDateTime())


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


@cache
def repeats(*, is_named: bool = False) -> Any:
    """Return a query of the cells that an annotator decided long ago and has not seen again since, as a lease's rows.

    `is_named`: look at the cells `AMONG` only. `LONG_AGO` is `REPEAT_AFTER` before now.
    """
    later = aliased(Label)
    hundredth = (
        select(later.id)
        .where(later.annotator == WHO)
        .order_by(later.id.desc())
        .offset(REPEAT_AFTER_LABELS - 1)
        .limit(1)
        .scalar_subquery()
    )
    again = select(Assignment.id).where(
        Assignment.cell_id == Label.cell_id, Assignment.annotator == WHO, Assignment.arm == REPEAT
    )  # fmt: skip
    held = select(Lease.cell_id).where(Lease.cell_id == Label.cell_id, Lease.annotator == WHO)
    return (
        _as_checks(Label.cell_id)
        .where(Label.annotator == WHO, counts(), Label.made_at < LONG_AGO, Label.id < hundredth)
        .where(~again.exists(), ~held.exists(), Label.cell_id.not_in(WITHOUT))
        .where(Label.cell_id.in_(AMONG) if is_named else true())
        .group_by(Label.cell_id)
        # The id is a keyed hash: the order tells nothing about when a cell was decided.
        .order_by(Label.cell_id)
        .limit(MOST)
    )


@cache
def gold(*, is_named: bool = False) -> Any:
    """Return a query of the cells that have a verdict and that an annotator has not decided; else as `repeats`."""
    mine = select(Label.id).where(Label.cell_id == Verdict.cell_id, Label.annotator == WHO)
    held = select(Lease.cell_id).where(Lease.cell_id == Verdict.cell_id, Lease.annotator == WHO)
    newest = select(func.max(Verdict.id)).group_by(Verdict.cell_id)
    return (
        _as_checks(Verdict.cell_id)
        .where(Verdict.id.in_(newest), Verdict.category.is_not(None), Verdict.adjudicator != WHO)
        .where(~mine.exists(), ~held.exists(), Verdict.cell_id.not_in(WITHOUT))
        .where(Verdict.cell_id.in_(AMONG) if is_named else true())
        .order_by(Verdict.cell_id)
        .limit(MOST)
    )


def _as_checks(cell_id: InstrumentedAttribute[str]) -> Any:
    """Begin a query of leases whose suggestion stays unknown."""
    return select(cell_id, WHO, UNTIL, literal(CHECK_REASON), *NOTHING)
