"""Which cells a study wants first, and which alone. The only writer of the table `work_orders`.

An order holds from the next refit, for all doctors. What comes first is moved among the uncertain cells alone: what
measures something (random, shared, gold, repeats, the blind test set) stays as chance brings it, or the figures
would be of the order.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datasets.bethesda import LabelSet
from datasets.catalog import Slide
from datasets.db import Database, repeated, utc_now
from labeling import audit
from labeling.errors import OrderRefused, OrderTooLong
from labeling.order_records import WorkOrder
from labeling.records import IMPORTED, Label

MOST_NAMED = 200
"""Slides of an order; more are no priority any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a data manager wants; empty: as the rules find it."""

    first_slides: tuple[str, ...] = ()
    """Their cells come first."""
    first_classes: tuple[str, ...] = ()
    """Cells that the probe suggests as one of these come first, in at most every second place."""
    only_slides: tuple[str, ...] = ()
    """Nothing else is asked."""
    second_reads_of: tuple[str, ...] = ()
    """Annotators whose cells a second doctor decides as well, in every second place."""
    second_readers: tuple[str, ...] = ()
    """Accounts that do these second reads; empty: whoever labels."""

    def as_lists(self) -> dict[str, list[str]]:
        """Return plain values by name, as the database, JSON and the HTTP API have them."""
        return {name: list(value) for name, value in asdict(self).items()}


def current(session: Session) -> Order:
    """Return the order that holds now."""
    row = session.scalar(select(WorkOrder).order_by(WorkOrder.id.desc()).limit(1))
    if row is None:
        return Order()
    return Order(**{field.name: tuple(row.wanted.get(field.name, ())) for field in fields(Order)})


def read(database: Database) -> Order:
    """Return the order that holds now."""
    with database.read() as session:
        return current(session)


@repeated
def give(database: Database, order: Order, *, by: str, label_set: LabelSet, doctors: Sequence[str] = ()) -> None:
    """Give a new order in place of the one before; it is told in the chain of events.

    Args:
        database: The study's database.
        order: All of it; what is empty in it holds no more.
        by: Who gives it.
        label_set: The study's answers.
        doctors: Accounts that may label: of them second readers can be.

    Raises:
        OrderRefused: A slide, category or annotator that the study does not know, or second reads that nobody can do.
        OrderTooLong: More than `MOST_NAMED` slides.
    """
    with database.write() as session:
        _check(session, order, label_set)
        _check_readers(order, doctors)
        if order == current(session):
            return
        wanted = order.as_lists()
        session.add(WorkOrder(wanted=wanted, made_by=by, made_at=utc_now()))
        facts = {name: " ".join(value) or None for name, value in wanted.items()}
        audit.append(session, kind="order of work changed", by=by, facts=facts)


def _check(session: Session, order: Order, label_set: LabelSet) -> None:
    slides = {*order.first_slides, *order.only_slides}
    if len(slides) > MOST_NAMED:
        raise OrderTooLong(f"{len(slides)} slides: an order names at most {MOST_NAMED}.")
    known = set(session.scalars(select(Slide.id).where(Slide.id.in_(slides))))
    _refuse_strangers("slide", [*order.first_slides, *order.only_slides], known)
    _refuse_strangers("category", order.first_classes, label_set.class_ids)
    _refuse_strangers("annotator with labels", order.second_reads_of, _readers(session))


def _check_readers(order: Order, doctors: Sequence[str]) -> None:
    _refuse_strangers("account that may label", order.second_readers, doctors)
    if order.second_readers and not order.second_reads_of:
        raise OrderRefused(f"{order.second_readers[0]}: second reads of whose cells? Name that doctor too.")
    if order.second_readers and set(order.second_readers) == set(order.second_reads_of) == {order.second_readers[0]}:
        raise OrderRefused(f"{order.second_readers[0]}: nobody reads his own cells a second time; name another reader.")


def _readers(session: Session) -> list[str]:
    query = select(Label.annotator).where(Label.annotator != IMPORTED).distinct().order_by(Label.annotator)
    return list(session.scalars(query))


def readers(database: Database) -> list[str]:
    """Return the annotators who have labelled: those whose cells can get second reads."""
    with database.read() as session:
        return _readers(session)


def _refuse_strangers(what: str, names: Sequence[str], known: Sequence[str] | set[str]) -> None:
    for name in names:
        if name not in known:
            raise OrderRefused(f"{name[:64]}: this study has no such {what}; nothing was changed.")


def last_id(session: Session) -> int:
    """Return the number of the newest order, 0 for none: it tells a watcher that there is another one."""
    return session.scalar(select(func.max(WorkOrder.id))) or 0
