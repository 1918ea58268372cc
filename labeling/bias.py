"""Whether suggestions lead doctors: how often an answer became the suggestion, and whether rightly. Only reads.

An episode begins with a doctor's first answer to a cell and ends with the one that stands; answers in
between were taken back. Only what was told to the doctor can have led him: check cells, whose
suggestion is never told, are what the others are compared with.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from scipy.stats import binomtest
from sqlalchemy import exists, or_, select

from datasets.db import Database
from labeling.adjudication import known_answers
from labeling.mixture import FOIL_REASON
from labeling.records import IMPORTED, Disclosure, Label, Undo


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None of nothing."""
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval; everything is possible of nothing."""
        if not self.total:
            return 0.0, 1.0
        found = binomtest(self.hits, self.total).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """One doctor's way to an answer about one cell of which there was a suggestion."""

    annotator: str
    cell_id: str
    first: str
    """His first answer."""
    final: str | None
    """The answer that stands; None where it was taken back."""
    suggestion: str
    was_shown: bool
    """The suggestion stood on screen before the first answer."""
    was_told: bool
    """It was told after the first answer."""
    reference: str | None
    """The adjudicator's verdict, else the label that came with the data."""

    @property
    def differs(self) -> bool:
        """True when the first answer was another than the suggestion."""
        return self.first != self.suggestion

    @property
    def became_suggestion(self) -> bool:
        """True when another answer was changed to the suggestion."""
        return self.differs and self.final == self.suggestion


@dataclass(frozen=True, kw_only=True, slots=True)
class Bias:
    """Figures of some episodes."""

    agreed_blind: Share
    """First answers that were the suggestion, of those given without having seen it."""
    agreed_shown: Share
    """The same of those given with the suggestion on screen."""
    changed_told: Share
    """Differing first answers that became the suggestion, of those that were told it."""
    changed_untold: Share
    """The same where it was never told: so many change by themselves."""
    right_to_change: Share
    """Changes to the suggestion after which the answer was the reference, of those with a reference."""
    wrong_to_change: Share
    """Changes to the suggestion that gave up the reference."""
    right_to_keep: Share
    """Differing answers that were kept and were the reference, of the kept ones with a reference."""
    wrong_to_keep: Share
    """Differing answers that were kept although the suggestion was the reference."""


def episodes(database: Database) -> list[Episode]:
    """Return all episodes of doctors, those of one doctor and cell in their order."""
    undone = exists().where(Undo.label_id == Label.id)
    told = exists().where(Disclosure.label_id == Label.id)
    query = select(Label, undone, told).where(
        Label.annotator != IMPORTED, or_(Label.reason.is_(None), Label.reason != FOIL_REASON)
    )
    with database.read() as session:
        references = known_answers(session)
        rows = session.execute(query.order_by(Label.annotator, Label.cell_id, Label.id)).all()
    found = []
    for _, group in groupby(rows, key=lambda row: (row[0].annotator, row[0].cell_id)):
        ways: list[list[tuple[Label, bool, bool]]] = []
        is_over = True
        for label, is_undone, is_told in group:
            if is_over:
                ways.append([])
            ways[-1].append((label, is_undone, is_told))
            is_over = not is_undone
        found += [episode for way in ways if (episode := _episode(way, references)) is not None]
    return found


def _episode(way: list[tuple[Label, bool, bool]], references: dict[str, str]) -> Episode | None:
    first, _, was_told = way[0]
    last, is_undone, _ = way[-1]
    if first.suggestion is None:
        return None
    return Episode(
        annotator=first.annotator, cell_id=first.cell_id, first=first.category, suggestion=first.suggestion,
        final=None if is_undone else last.category, was_shown=first.suggestion_shown, was_told=was_told,
        reference=references.get(first.cell_id),
    )  # fmt: skip


def figures(found: Iterable[Episode]) -> Bias:
    """Count episodes; those that were taken back for good count for the first answer alone."""
    rows = list(found)
    differing = [e for e in rows if e.differs and e.final is not None and not e.was_shown]
    told = [e for e in differing if e.was_told]
    judged = [e for e in told if e.reference is not None]
    changed = [e for e in judged if e.became_suggestion]
    kept = [e for e in judged if e.final == e.first]
    return Bias(
        agreed_blind=_share((e for e in rows if not e.was_shown), lambda e: not e.differs),
        agreed_shown=_share((e for e in rows if e.was_shown), lambda e: not e.differs),
        changed_told=_share(told, lambda e: e.became_suggestion),
        changed_untold=_share((e for e in differing if not e.was_told), lambda e: e.became_suggestion),
        right_to_change=_share(changed, lambda e: e.reference == e.suggestion),
        wrong_to_change=_share(changed, lambda e: e.reference == e.first),
        right_to_keep=_share(kept, lambda e: e.reference == e.first),
        wrong_to_keep=_share(kept, lambda e: e.reference == e.suggestion),
    )


def _share(rows: Iterable[Episode], is_hit: Callable[[Episode], bool]) -> Share:
    hits = [is_hit(row) for row in rows]
    return Share(sum(hits), len(hits))
