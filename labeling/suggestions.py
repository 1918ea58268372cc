"""The probe's present guess for every cell, and where it comes from. The only writer of `probes`.

probes/<id>/probabilities.npy   (rows of the embedding store, classes) float16
probes/<id>/weights.npy         (classes, dim + 1) float64, to be rebuilt from the same labels
probes/<id>/probe.json          encoder, labels, settings, figures
"""

import io
import json
import shutil
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from datasets.bethesda import LabelSet
from datasets.db import Database, utc_now
from datasets.embeddings import EmbeddingStore
from datasets.files import sha256_of_json, write_atomically, write_json
from labeling.answers import CurrentLabel, current_labels
from labeling.probes import (
    LinearProbe,
    choose_temperature,
    grouped_balanced_accuracy,
    out_of_fold_logits,
)
from labeling.records import Candidate, Label, Probe
from labeling.worklist import Guess, publish, rank_typical, rank_uncertain

ALGORITHM = "balanced L2 multinomial logistic regression, version 1"
KEPT_PROBES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class FitReport:
    """What a refit did."""

    labels: int
    """Cells with a usable doctor's label."""
    classes: int
    probe_id: str | None
    """None while fewer than two classes are labelled."""
    seconds: float
    balanced_accuracy: float | None
    """On slides left out; None where the labels are too few to say."""


@dataclass(frozen=True, slots=True)
class SuggestionTable:
    """The present suggestions, by cell."""

    probe_id: str
    classes: tuple[str, ...]
    probabilities: NDArray[np.float16]
    rows: dict[str, int]

    def of(self, cell_id: str) -> tuple[str, float] | None:
        """Return category and probability of a cell, None for a cell without a vector."""
        row = self.rows.get(cell_id)
        if row is None or row >= len(self.probabilities):
            return None
        best = int(self.probabilities[row].argmax())
        return self.classes[best], float(self.probabilities[row, best])


def consensus(labels: list[CurrentLabel], label_set: LabelSet) -> dict[str, str]:
    """Return one class for each cell: the majority of its readers, the newest where they tie."""
    by_cell: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        if label.category in label_set.class_ids:
            by_cell[label.cell_id].append(label.category)
    # Labels come oldest first: the last of the most frequent ones is the newest of them.
    return {cell: max(reversed(answers), key=Counter(answers).__getitem__)
            for cell, answers in by_cell.items()}  # fmt: skip


def refit(
    database: Database, store: EmbeddingStore | None, folder: Path, label_set: LabelSet, *,
    groups: dict[str, str], reads: int,
) -> FitReport:  # fmt: skip
    """Fit the probe on the doctors' labels, write its guesses, and rank the worklist anew.

    Nothing is computed inside the write transaction, so doctors never wait for a fit.

    Args:
        database: The study's database.
        store: Vectors of the current encoder; None: there is nothing to do yet.
        folder: Where probes are kept.
        label_set: Answers that are classes.
        groups: Slide of each cell.
        reads: How many doctors decide each cell.
    """
    started = time.monotonic()
    with database.read() as session:
        labels = current_labels(session)
        last_label = session.scalar(select(func.max(Label.id))) or 0
    answers = consensus(labels, label_set)
    if store is None or not len(store):
        return _report(answers, None, None, started)
    readers = Counter(label.cell_id for label in labels)
    study = _Study(store, answers, groups, {c for c, n in readers.items() if n >= reads})
    if len({answers[i] for i in study.labelled_ids}) < 2:
        _publish(database, study.typical(), None)
        return _report(answers, None, None, started)
    fit = study.fit()
    probe = _write(folder, store, fit, last_label)
    _publish(database, study.uncertain(fit, seed=len(study.labelled_ids)), probe)
    _drop_old(folder, keep=probe.id)
    return _report(answers, probe.id, fit.metrics["balanced_accuracy"], started)


def current(database: Database, folder: Path, store: EmbeddingStore) -> SuggestionTable | None:
    """Open the newest suggestions of an encoder, None before the first fit."""
    with database.read() as session:
        probe = session.scalar(
            select(Probe).where(Probe.encoder_fingerprint == store.fingerprint).order_by(Probe.number.desc()).limit(1)
        )
    if probe is None or not (folder / probe.id / "probabilities.npy").exists():
        return None
    values = np.load(folder / probe.id / "probabilities.npy", mmap_mode="r", allow_pickle=False)
    rows = {cell_id: row for row, cell_id in enumerate(store.cell_ids)}
    return SuggestionTable(probe.id, tuple(probe.classes), values, rows)


def newest_probe(database: Database) -> Probe | None:
    """Return the newest fit, None before the first."""
    with database.read() as session:
        return session.scalar(select(Probe).order_by(Probe.number.desc()).limit(1))


@dataclass(frozen=True, slots=True)
class _Fit:
    id: str
    classes: tuple[str, ...]
    weights: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    counts: NDArray[np.intp]
    num_labels: int
    settings: dict[str, Any]
    metrics: dict[str, Any]


class _Study:
    """Vectors and labels, joined by row."""

    def __init__(self, store: EmbeddingStore, answers: dict[str, str], groups: dict[str, str],
                 finished: set[str]) -> None:  # fmt: skip
        self.store, self.answers = store, answers
        self.vectors = store.vectors()
        rows = {cell_id: row for row, cell_id in enumerate(store.cell_ids)}
        self.labelled_ids = [cell_id for cell_id in answers if cell_id in rows]
        self.labelled_rows = np.array([rows[i] for i in self.labelled_ids], np.intp)
        self.groups = np.array([groups.get(i, i) for i in self.labelled_ids])
        self.open_rows = np.array([r for i, r in rows.items() if i not in finished], np.intp)

    def fit(self) -> _Fit:
        known = self.vectors[self.labelled_rows].astype(np.float64)
        truth = np.array([self.answers[i] for i in self.labelled_ids])
        classes, codes = np.unique(truth, return_inverse=True)
        held_out = out_of_fold_logits(known, truth, self.groups)
        temperature, accuracy = 1.0, None
        if held_out is not None:
            logits, has = held_out
            temperature = choose_temperature(logits[has], codes[has])
            accuracy = grouped_balanced_accuracy(logits[has], codes[has])
        probe = LinearProbe(temperature=temperature).fit(known, truth)
        settings = {"algorithm": ALGORITHM, **probe.get_params()}
        snapshot = sorted(zip(self.labelled_ids, truth.tolist(), strict=True))
        identity = {"encoder": self.store.fingerprint, "labels": snapshot, "settings": settings,
                    "rows": len(self.store)}  # fmt: skip
        return _Fit(
            id=sha256_of_json(identity)[:32], classes=tuple(classes.tolist()),
            weights=np.column_stack([probe.coef_, probe.intercept_]),
            probabilities=probe.predict_proba(self.vectors), counts=np.bincount(codes),
            num_labels=len(truth), settings=settings, metrics={"balanced_accuracy": accuracy},
        )  # fmt: skip

    def typical(self) -> list[Candidate]:
        ids = [self.store.cell_ids[row] for row in self.open_rows]
        return rank_typical(ids, self.vectors[self.open_rows])

    def uncertain(self, fit: _Fit, *, seed: int) -> list[Candidate]:
        guess = Guess(probe_id=fit.id, classes=fit.classes, counts=fit.counts,
                      probabilities=fit.probabilities[self.open_rows])  # fmt: skip
        ids = [self.store.cell_ids[row] for row in self.open_rows]
        known = self.vectors[self.labelled_rows]
        return rank_uncertain(ids, self.vectors[self.open_rows], known, guess, seed=seed)


def _report(answers: dict[str, str], probe_id: str | None, accuracy: float | None, started: float) -> FitReport:
    return FitReport(
        labels=len(answers), classes=len(set(answers.values())), probe_id=probe_id,
        seconds=time.monotonic() - started, balanced_accuracy=accuracy,
    )  # fmt: skip


def _write(folder: Path, store: EmbeddingStore, fit: _Fit, last_label: int) -> Probe:
    target = folder / fit.id
    for name, values in (
        ("probabilities", fit.probabilities.astype(np.float16)), ("weights", fit.weights),
    ):  # fmt: skip
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        write_atomically(target / f"{name}.npy", buffer.getvalue())
    description = {
        "id": fit.id, "encoder_fingerprint": store.fingerprint, "last_label_id": last_label,
        "num_labels": fit.num_labels, "classes": list(fit.classes), "settings": fit.settings,
        "metrics": fit.metrics,
    }  # fmt: skip
    write_json(target / "probe.json", json.loads(json.dumps(description)))
    return Probe(**description, made_at=utc_now())


def _publish(database: Database, candidates: list[Candidate], probe: Probe | None) -> None:
    with database.write() as session:
        if probe is not None:
            # The same labels after an undo give the same probe: it becomes the newest again.
            old = session.scalar(select(Probe).where(Probe.id == probe.id))
            if old is not None:
                session.delete(old)
                session.flush()
            session.add(probe)
        publish(session, candidates)


def _drop_old(folder: Path, *, keep: str) -> None:
    others = [path for path in folder.iterdir() if path.is_dir() and path.name != keep]
    others.sort(key=lambda path: path.stat().st_mtime)
    for path in others[: -(KEPT_PROBES - 1)]:
        shutil.rmtree(path)
