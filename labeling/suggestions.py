"""The probe's present guess for every cell, and where it comes from. The only writer of `probes`.

probes/<id>/probabilities.npy   (rows of the embedding store, classes) float16, calibrated
probes/<id>/weights.npy         (classes, dim + 1) float64
probes/<id>/labels.json         the labelled rows that the fit saw
probes/<id>/probe.json          encoder, settings, figures
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sqlalchemy import select

from datasets.bethesda import LabelSet
from datasets.db import Database
from datasets.embeddings import EmbeddingStore
from datasets.files import sha256_of_json
from labeling import fitting, probe_files
from labeling.acquisition import DEFAULT_RULE, PoolView
from labeling.errors import ProbeGone
from labeling.evidence import Evidence, gather
from labeling.fitting import Fit, Training
from labeling.heldout import held_out
from labeling.mixture import Shares
from labeling.probes import LinearProbe, PoolScale
from labeling.records import Candidate, Probe
from labeling.reference import likely_slips
from labeling.scoring import score_pool
from labeling.worklist import Guess, Pool, publish, rank_mixed, rank_typical

ALGORITHM = "balanced L2 multinomial logistic regression, version 2"


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


def refit(
    database: Database, store: EmbeddingStore | None, folder: Path, label_set: LabelSet, *,
    groups: dict[str, str], reads: int, shares: Shares | None = None, rule: str = DEFAULT_RULE,
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
        shares: Parts of the queue; None: the defaults.
        rule: How uncertain cells are scored, a name of `acquisition.RULES`.
    """
    started = time.monotonic()
    evidence = gather(database, label_set, reads=reads)
    if store is None or not len(store):
        return _report(evidence, None, None, started)
    study = Study(store, evidence, groups, newest_probe(database))
    if study.training is None or len(set(study.training.classes)) < 2:
        with database.write() as session:
            publish(session, rank_typical(study.pool()))
        return _report(evidence, None, None, started)
    found = study.fit()
    probe_id = study.identity(found)
    weights = score_pool(
        study.vectors, found, rule=rule, path=probe_files.probabilities_path(folder, probe_id)
    )  # fmt: skip
    probe = probe_files.write(folder, probe_id, store.fingerprint, found, study.training, evidence.last_label_id,
                              study.settings(found))  # fmt: skip
    classes = tuple(found.probe.classes_.tolist())
    guess = Guess(probe_id=probe_id, classes=classes, probabilities=weights.probabilities, scores=weights.scores)
    queue = rank_mixed(study.pool(), guess, shares or Shares(), seed=len(set(study.training.cell_ids)))
    _publish(database, queue, probe)
    probe_files.drop_old(folder, keep=probe_id)
    return _report(evidence, probe_id, found.metrics["balanced_accuracy"], started)


def rebuild(store: EmbeddingStore, folder: Path, probe_id: str) -> LinearProbe:
    """Fit a kept probe again from the labels and settings that it names: the same weights, bit for bit.

    Raises:
        ProbeGone: Its files are gone, or the store is not the one that it saw.
    """
    description, training = probe_files.read(folder, probe_id)
    if description["encoder_fingerprint"] != store.fingerprint:
        raise ProbeGone(f"probe {probe_id}: made with encoder {description['encoder_fingerprint']}, not this store's.")
    rows = store.row_of()
    places = np.array([rows[cell_id] for cell_id in training["cells"]], np.intp)
    known = Training(
        cell_ids=training["cells"], vectors=store.stack()[places].astype(np.float64),
        classes=np.array(training["classes"]), weights=np.array(training["weights"]),
        slides=places, is_random=np.zeros(len(places), bool),
    )  # fmt: skip
    settings = {name: value for name, value in description["settings"].items() if name in fitting.SETTINGS}
    scale = PoolScale.of(store.stack()[: description["settings"]["rows"]])
    return fitting.rebuild(known, scale, settings)


def current(database: Database, folder: Path, store: EmbeddingStore | None) -> SuggestionTable | None:
    """Open the newest suggestions of an encoder, None before the first vectors and before the first fit."""
    if store is None:
        return None
    with database.read() as session:
        probe = session.scalar(
            select(Probe).where(Probe.encoder_fingerprint == store.fingerprint).order_by(Probe.number.desc()).limit(1)
        )
    if probe is None or not probe_files.probabilities_path(folder, probe.id).exists():
        return None
    values = np.load(probe_files.probabilities_path(folder, probe.id), mmap_mode="r", allow_pickle=False)
    return SuggestionTable(probe.id, tuple(probe.classes), values, store.row_of())


def newest_probe(database: Database) -> Probe | None:
    """Return the newest fit, None before the first."""
    with database.read() as session:
        return session.scalar(select(Probe).order_by(Probe.number.desc()).limit(1))


class Study:
    """Vectors and labels, joined by row.

    Args:
        store: Vectors of the current encoder.
        evidence: What the labels say.
        groups: Slide of each cell.
        before: The newest probe, whose strength is kept until the labels have doubled.
    """

    def __init__(self, store: EmbeddingStore, evidence: Evidence, groups: dict[str, str], before: Probe | None) -> None:
        self.store, self.evidence, self._groups, self._before = store, evidence, groups, before
        self.vectors = store.stack()
        self.scale = PoolScale.of(self.vectors)
        self._rows = store.row_of()
        self.training = self._with_parents(self._training(evidence.shares))
        self._tuning_key = ""

    @classmethod
    def open(cls, database: Database, store: EmbeddingStore, label_set: LabelSet, *, groups: dict[str, str],
             reads: int) -> "Study":  # fmt: skip
        """Join a study's labels with its vectors as they stand."""
        return cls(store, gather(database, label_set, reads=reads), groups, newest_probe(database))

    def fit(self) -> Fit:
        """Fit and calibrate on all labels."""
        assert self.training is not None
        return fitting.fit(self.training, self.scale, strength=self.strength())

    def settings(self, found: Fit) -> dict[str, object]:
        """Return all that a fit is made with, besides the labels."""
        return {"algorithm": ALGORITHM, "rows": len(self.store), "tuned_on": self._tuning_key,
                **fitting.refit_settings(found.probe)}  # fmt: skip

    def identity(self, found: Fit) -> str:
        """Name a probe by all that decides its guesses."""
        assert self.training is not None
        snapshot = sorted(zip(self.training.cell_ids, self.training.classes.tolist(), self.training.weights.tolist(),
                              strict=True))  # fmt: skip
        identity = {"encoder": self.store.fingerprint, "labels": snapshot, "settings": self.settings(found),
                    "prior": found.metrics["prior"]}  # fmt: skip
        return sha256_of_json(identity)[:32]

    def pool(self) -> Pool:
        """Return the pool as the worklist wants it."""
        closed = self._places(self.evidence.finished)
        is_open = np.ones(len(self.store), bool)
        is_open[closed] = False
        known = np.union1d(self._places(self.evidence.shares), self._places(self.evidence.leased))
        return Pool(
            cell_ids=self.store.cell_ids, view=PoolView(self.vectors, self.scale),
            open_rows=np.flatnonzero(is_open), known_rows=known,
            waiting_rows=np.intersect1d(self._places(self.evidence.waiting), np.flatnonzero(is_open)),
        )  # fmt: skip

    def _places(self, cells: object) -> NDArray[np.intp]:
        return np.array(sorted(self._rows[i] for i in cells if i in self._rows), np.intp)  # type: ignore[attr-defined]

    def _training(self, shares: dict[str, dict[str, float]]) -> Training | None:
        rows = [
            (i, name, part) for i, parts in shares.items() if i in self._rows for name, part in parts.items() if part
        ]
        if not rows:
            return None
        cells = [cell_id for cell_id, _, _ in rows]
        return Training(
            cell_ids=cells, vectors=self.vectors[np.array([self._rows[i] for i in cells], np.intp)].astype(np.float64),
            classes=np.array([name for _, name, _ in rows]), weights=np.array([part for _, _, part in rows]),
            slides=np.array([self._groups.get(i, i) for i in cells]),
            is_random=np.array([i in self.evidence.random for i in cells]),
        )  # fmt: skip

    def _with_parents(self, training: Training | None) -> Training | None:
        """Add the cells that only a parent node was given to, in the shares that the others suggest."""
        parents = {i: covers for i, covers in self.evidence.parents.items() if i in self._rows}
        if training is None or not parents or len(set(training.classes)) < 2:
            return training
        probe = LinearProbe(mean=self.scale.mean, std=self.scale.std).fit(
            training.vectors, training.classes, sample_weight=training.weights
        )
        places = np.array([self._rows[i] for i in parents], np.intp)
        spread = fitting.spread_parents(probe, self.vectors[places].astype(np.float64), list(parents.values()))
        return self._training({**self.evidence.shares, **dict(zip(parents, spread, strict=True))})

    def strength(self) -> float:
        """Tune on the first power of two of the labels: anew at each doubling, and never by the last label."""
        training = self.training
        assert training is not None
        count = 1 << (len(training.cell_ids).bit_length() - 1)
        first = training.first(count)
        self._tuning_key = sha256_of_json(
            [self.store.fingerprint, first.cell_ids, first.classes.tolist(), first.weights.round(6).tolist()]
        )[:16]
        if self._before is not None and self._before.settings.get("tuned_on") == self._tuning_key:
            return float(self._before.settings["C"])
        return fitting.tune(first, self.scale)


def second_looks(study: Study) -> list[str]:
    """Return cells whose undisputed label a probe that has not seen their slide finds least likely.

    At most 30, the least likely first: for a second look by a doctor who is not told why, never for
    correction by the program. Empty while the labels are too few to say.
    """
    training = study.training
    if training is None:
        return []
    found = held_out(
        training.vectors, training.classes, training.slides,
        probe=LinearProbe(mean=study.scale.mean, std=study.scale.std), sample_weight=training.weights,
    )  # fmt: skip
    if found is None:
        return []
    rows = np.flatnonzero(found.has_logits & (training.weights > 1 - 1e-9))
    suspects = likely_slips(softmax(found.logits[rows], axis=1), found.codes[rows])
    return [training.cell_ids[row] for row in rows[suspects]]


def _report(evidence: Evidence, probe_id: str | None, accuracy: float | None, started: float) -> FitReport:
    classes = {name for parts in evidence.shares.values() for name in parts}
    return FitReport(
        labels=len(evidence.shares), classes=len(classes), probe_id=probe_id,
        seconds=time.monotonic() - started, balanced_accuracy=accuracy,
    )  # fmt: skip


def _publish(database: Database, candidates: list[Candidate], probe: Probe) -> None:
    with database.write() as session:
        # The same labels after an undo give the same probe: it becomes the newest again.
        old = session.scalar(select(Probe).where(Probe.id == probe.id))
        if old is not None:
            session.delete(old)
            session.flush()
        session.add(probe)
        publish(session, candidates)
