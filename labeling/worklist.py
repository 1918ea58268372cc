"""What a doctor should see next, and why. The only writer of the table `candidates`."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from datasets.catalog import Cell
from datasets.db import Database, utc_now
from labeling import acquisition
from labeling.acquisition import BATCH, Floats
from labeling.leases import POOL_REASON, WorkItem, needs_reader
from labeling.records import Candidate

LENGTH = 256
"""Candidates kept ready: minutes of work for several doctors until the next refit."""
_RANDOM_PER_BATCH, _COVERAGE_PER_BATCH = 1, 2
_TYPICAL = "typical of a group of cells"
_RANDOM = "chosen at random, to check the suggestions"
_NOVEL = "unlike the cells labelled so far"


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """What the probe says of a pool: probabilities (n, K) in the order of `classes`."""

    probe_id: str
    classes: tuple[str, ...]
    probabilities: Floats
    counts: NDArray[np.intp]
    """Labels of each class, shape (K,)."""


def rank_typical(cell_ids: Sequence[str], vectors: NDArray[np.floating]) -> list[Candidate]:
    """Rank a pool without two labelled classes: the most typical cell of each cluster first.

    Args:
        cell_ids: Cells that need a reader.
        vectors: Their embeddings, shape (n, d).
    """
    if not len(cell_ids):
        return []
    units = acquisition.unit_vectors(vectors)
    rows = acquisition.typical(units, min(LENGTH // 4, len(cell_ids)), seed=0)
    return [
        Candidate(rank=rank, cell_id=cell_ids[row], reason=_TYPICAL, score=1.0 / (rank + 1))
        for rank, row in enumerate(rows)
    ]


def rank_uncertain(
    cell_ids: Sequence[str], vectors: NDArray[np.floating], labelled: NDArray[np.floating],
    guess: Guess, *, seed: int,
) -> list[Candidate]:  # fmt: skip
    """Rank a pool by rarity-weighted margin with diversity, with some coverage and some chance.

    Each batch of 16 holds one cell at random (an honest sample), two far from all labels, and the
    rest uncertain between classes that have few labels.

    Args:
        cell_ids: Cells that need a reader.
        vectors: Their embeddings, shape (n, d).
        labelled: Embeddings of the labelled cells, shape (m, d).
        guess: The probe's probabilities of the pool.
        seed: Source of chance; the label count, so that equal labels give equal lists.
    """
    generator = np.random.default_rng(seed)
    both = acquisition.unit_vectors(np.concatenate([vectors, labelled]))
    units, known = both[: len(vectors)], both[len(vectors) :]
    scores = acquisition.rarity_margin(guess.probabilities, guess.counts)
    rows: list[tuple[int, str]] = []
    left = np.ones(len(cell_ids), bool)
    batches = -(-min(LENGTH, len(cell_ids)) // BATCH)
    uncertain = iter(acquisition.diverse(scores, units, LENGTH, known))
    for _ in range(batches):
        chosen = _take(uncertain, left, BATCH - _RANDOM_PER_BATCH - _COVERAGE_PER_BATCH)
        rows += [(row, _unclear(guess, row)) for row in chosen]
        pool = np.flatnonzero(left)
        far = pool[acquisition.coverage(units[pool], known, _COVERAGE_PER_BATCH, generator)]
        known = np.concatenate([known, units[far]])
        left[far] = False
        rows += [(int(row), _NOVEL) for row in far]
        chance = generator.permutation(np.flatnonzero(left))[:_RANDOM_PER_BATCH]
        left[chance] = False
        rows += [(int(row), _RANDOM) for row in chance]
    return [_candidate(rank, cell_ids[row], reason, float(scores[row]), guess, row)
            for rank, (row, reason) in enumerate(rows)]  # fmt: skip


def _take(rows: Iterator[np.intp], left: NDArray[np.bool_], count: int) -> list[int]:
    """Take the next `count` rows that are left, and mark them as taken."""
    chosen = list(itertools.islice((int(row) for row in rows if left[row]), count))
    left[chosen] = False
    return chosen


def _unclear(guess: Guess, row: int) -> str:
    second, first = np.argsort(guess.probabilities[row])[-2:]
    return f"{guess.classes[first]} or {guess.classes[second]} is unclear"


def _candidate(rank: int, cell_id: str, reason: str, score: float, guess: Guess, row: int) -> Candidate:
    best = int(guess.probabilities[row].argmax())
    return Candidate(
        rank=rank, cell_id=cell_id, reason=reason, score=score, suggestion=guess.classes[best],
        suggestion_probability=float(guess.probabilities[row, best]), probe_id=guess.probe_id,
    )  # fmt: skip


def publish(session: Session, candidates: Sequence[Candidate]) -> None:
    """Replace the worklist inside an open write transaction; leases that are out stay."""
    session.execute(delete(Candidate))
    if candidates:
        columns = [column.key for column in Candidate.__table__.columns]
        session.execute(insert(Candidate), [{key: getattr(row, key) for key in columns} for row in candidates])


def peek(database: Database, annotator: str, limit: int, *, reads: int) -> list[WorkItem]:
    """Return what an annotator would get next, without a lease."""
    now = utc_now()
    with database.read() as session:
        ranked = session.scalars(
            select(Candidate)
            .where(needs_reader(Candidate.cell_id, annotator, reads, now))
            .order_by(Candidate.rank)
            .limit(limit)
        ).all()
        items = [_item(row.cell_id, row.reason, row) for row in ranked]
        known = {item.cell_id for item in items}
        pool = session.scalars(
            select(Cell.id)
            .where(needs_reader(Cell.id, annotator, reads, now), Cell.id.not_in(known))
            .order_by(Cell.id)
            .limit(limit - len(items))
        ).all()
    return [*items, *(_item(cell_id, POOL_REASON, None) for cell_id in pool)]


def _item(cell_id: str, reason: str, row: Candidate | None) -> WorkItem:
    return WorkItem(
        cell_id=cell_id, reason=reason, score=row.score if row else None,
        suggestion=row.suggestion if row else None,
        probability=row.suggestion_probability if row else None,
        probe_id=row.probe_id if row else None, until=None,
    )  # fmt: skip
