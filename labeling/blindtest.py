"""The blind test set: slides chosen once, labelled like all others, and never used by anything that learns.

The only writer of the table `blind_slides`. The wall itself stands in `evidence`: what it leaves out
reaches no fit, no calibration, no choice of cells and no advice to stop.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import select

from datasets.bethesda import LabelSet
from datasets.catalog import Cell
from datasets.db import Database, utc_now
from datasets.embeddings import EmbeddingStore
from labeling import audit
from labeling.adjudication import standing_verdicts
from labeling.answers import blind_slides, counts
from labeling.errors import BlindTestRefused
from labeling.judging import Judgement, judge
from labeling.records import IMPORTED, BlindSlide, Exemplar, Label
from labeling.suggestions import conformal_sets, current

FEWEST_SLIDES = 2
"""Of a test set: an interval over slides needs two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlindFigures:
    """What the present probe is worth on the blind test set."""

    probe_id: str
    judgement: Judgement
    disputed: int
    """Cells left out because their readers differ evenly and nobody has decided."""
    seen: int
    """Labels left out because the suggestion was on screen before the answer."""

    def sentence(self) -> str:
        """Say what the present probe is worth on the blind test set."""
        judged = self.judgement
        words = (
            f"Blind test set, {judged.cells} cells of {judged.slides} slides: balanced accuracy "
            f"{judged.balanced_accuracy:.3f} ({judged.low:.3f} to {judged.high:.3f}), calibration error "
            f"{judged.calibration_error:.3f}"
        )
        if judged.coverage is not None:
            words += f"; {judged.set_size:.1f} classes in a set, {100 * judged.coverage:.0f} % hold the right one"
        if self.disputed + self.seen:
            words += f"; left out: {self.disputed} disputed cells, {self.seen} labels given after the suggestion"
        return f"{words}."


def choose(database: Database, *, percent: int) -> tuple[str, ...]:
    """Choose the slides of the test set: once for a study, by a hash, so that nobody picks them.

    Slides on which a doctor has labelled, or with an exemplar, are not eligible: a probe has seen them.

    Args:
        database: The study's database.
        percent: Share of the study's slides with cells, at least two of them.

    Returns:
        The chosen slides in the order of their names.

    Raises:
        BlindTestRefused: There is a set already, or too few slides are untouched.
    """
    with database.write() as session:
        if blind_slides(session):
            raise BlindTestRefused("this study has its blind test set already; another choice would spoil both.")
        slides = set(session.scalars(select(Cell.slide_id).distinct()))
        labelled = select(Label.cell_id).where(Label.annotator != IMPORTED)
        touched = set(session.scalars(select(Cell.slide_id).where(Cell.id.in_(labelled)).distinct()))
        wanted = max(FEWEST_SLIDES, round(len(slides) * percent / 100))
        shown = set(session.scalars(select(Cell.slide_id).where(Cell.id.in_(select(Exemplar.cell_id))).distinct()))
        eligible = sorted(slides - touched - shown, key=_lot)
        if len(eligible) < wanted or len(slides) <= wanted:
            raise BlindTestRefused(
                f"{wanted} slides are wanted, {len(eligible)} of {len(slides)} have no doctor's label yet, and one "
                "must be left to learn from. Ingest more slides, or give a smaller --percent."
            )
        chosen = tuple(sorted(eligible[:wanted]))
        session.add_all(BlindSlide(slide_id=slide, chosen_at=utc_now()) for slide in chosen)
        audit.append(session, kind="blind test set chosen", by="cytojepa", facts={"slides": " ".join(chosen)})
    return chosen


def figures(
    database: Database, folder: Path, store: EmbeddingStore | None, label_set: LabelSet
) -> BlindFigures | None:  # fmt: skip
    """Judge the present probe by the doctors' answers on the test set.

    A cell's truth is its verdict, else what most of its readers say.

    Returns:
        None without a probe, or while no cell of the test set has an answer that is a class.
    """
    table = current(database, folder, store)
    if table is None:
        return None
    truths, disputed, seen = _truths(database, label_set)
    cells = [i for i in truths if i in table.rows and table.rows[i] < len(table.probabilities)]
    if not cells:
        return None
    with database.read() as session:
        slide_of = dict(session.execute(select(Cell.id, Cell.slide_id).where(Cell.id.in_(cells))).all())
    judgement = judge(
        table.probabilities[np.array([table.rows[i] for i in cells], np.intp)].astype(np.float64),
        np.array(table.classes), np.array([truths[i] for i in cells]), np.array([slide_of[i] for i in cells]),
        conformal_sets(table.conformal),
    )  # fmt: skip
    return BlindFigures(probe_id=table.probe_id, judgement=judgement, disputed=disputed, seen=seen)


def _truths(database: Database, label_set: LabelSet) -> tuple[dict[str, str], int, int]:
    """Return the agreed class of each labelled test cell, how many are disputed, and how many labels were led."""
    of_test = select(Cell.id).where(Cell.slide_id.in_(select(BlindSlide.slide_id)))
    query = select(Label).where(Label.cell_id.in_(of_test), Label.annotator != IMPORTED, counts())
    with database.read() as session:
        rows = session.scalars(query.order_by(Label.id)).all()
        verdicts = standing_verdicts(session)
    newest = {(row.cell_id, row.annotator): row for row in rows}
    answers: dict[str, Counter[str]] = {}
    for row in newest.values():
        if not row.suggestion_shown and row.category in label_set.class_ids:
            answers.setdefault(row.cell_id, Counter())[row.category] += 1
    truths, disputed = {}, 0
    for cell_id, found in answers.items():
        verdict = verdicts.get(cell_id)
        top = found.most_common(2)
        if verdict is not None and verdict.category in label_set.class_ids:
            truths[cell_id] = verdict.category
        elif len(top) == 1 or top[0][1] > top[1][1]:
            truths[cell_id] = top[0][0]
        else:
            disputed += 1
    return truths, disputed, sum(row.suggestion_shown for row in newest.values())


def _lot(slide_id: str) -> str:
    return hashlib.sha256(f"blind test set\0{slide_id}".encode()).hexdigest()


def num_slides(database: Database) -> int:
    """Return how many slides the study's test set has, 0 for none."""
    with database.read() as session:
        return len(blind_slides(session))
