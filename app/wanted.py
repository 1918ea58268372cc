"""Which labels a program asks the study for, in plain values."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict

from labeling.export.agreed import AgreementKind
from labeling.export.rows import Kind, Selection


class Wanted(TypedDict, total=False):
    """Which labels are wanted; what is not said means all."""

    current_only: bool
    """Leave out what was taken back or replaced by the same annotator."""
    references: bool
    """The reference labels instead: the adjudicator's verdict, else the majority of the doctors, else what
    came with the data; none where two answers tie."""
    slides: Sequence[str]
    annotators: Sequence[str]
    categories: Sequence[str]
    since: datetime
    """Only what was stored from this moment on; with its time zone."""
    until: datetime
    """Only what was stored before this moment; with its time zone."""
    agreement: AgreementKind
    """Only cells on which doctors "agree" (two at least), "differ", or that are "adjudicated"."""
    min_share: float
    """Only cells whose commonest answer has this share of the doctors' current labels, 0 to 1."""
    min_readers: int
    """For `min_share`: only cells that so many doctors have decided."""


def selection(wanted: Wanted, *, otherwise: tuple[Kind, ...]) -> Selection:
    """Return the rows that are asked for.

    Args:
        wanted: Filters.
        otherwise: Kinds of rows where `references` is not said.

    Raises:
        ValueError: A moment without a time zone.
    """
    bounds: tuple[Literal["since", "until"], ...] = ("since", "until")
    for name in bounds:
        moment: datetime | None = wanted.get(name)
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{name} = {moment}: say its time zone, for example datetime(..., tzinfo=UTC).")
    kinds: dict[bool | None, tuple[Kind, ...]] = {None: otherwise, True: ("reference",), False: ("label",)}
    return Selection(
        slides=tuple(wanted.get("slides", ())), annotators=tuple(wanted.get("annotators", ())),
        categories=tuple(wanted.get("categories", ())), is_current_only=wanted.get("current_only", False),
        kinds=kinds[wanted.get("references")], since=wanted.get("since"), until=wanted.get("until"),
        agreement=wanted.get("agreement"), min_share=wanted.get("min_share"),
        min_readers=wanted.get("min_readers", 1),
    )  # fmt: skip
