"""The probe's present guess for every cell, and where it comes from. The only writer of `probes`.

probes/<id>/probabilities.npy   (rows of the embedding store, classes) float16, calibrated
probes/<id>/weights.npy         (classes, dim + 1) float64
probes/<id>/labels.json         the labelled rows that the fit saw
probes/<id>/probe.json          encoder, settings, figures
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from datasets.bethesda import LabelSet
from datasets.db import Database
from datasets.embeddings import EmbeddingStore
from labeling import fitting, probe_files
from labeling.acquisition import DEFAULT_RULE, NEAR_BEST
from labeling.calibration import ConformalSets
from labeling.errors import ProbeGone, ProbeOutdated
from labeling.evidence import Evidence, gather
from labeling.fitting import Training
from labeling.mixture import Dial, Shares
from labeling.pool import PoolScale
from labeling.probes import LinearProbe
from labeling.records import Candidate, Probe
from labeling.scoring import score_pool
from labeling.study import ALGORITHM, Study, newest_probe
from labeling.worklist import Guess, publish, rank_mixed, rank_typical


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


FEWEST_FOR_SETS = 50
"""Labels on slides left out below which a set of classes is not told: its promise would rest on a handful."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassSet:
    """Classes among which the right one is, in so many of a hundred cells; the likeliest first."""

    classes: tuple[str, ...]
    percent: int
    labels: int
    """On which the promise rests."""


@dataclass(frozen=True, slots=True)
class SuggestionTable:
    """The present suggestions, by cell."""

    probe_id: str
    classes: tuple[str, ...]
    probabilities: NDArray[np.float16]
    """Shape (n, K), in the order of `classes`."""
    rows: dict[str, int]
    conformal: dict[str, Any] | None
    """As the probe's figures tell its sets of classes; None while the labels promise nothing."""

    def of(self, cell_id: str) -> tuple[str, float] | None:
        """Return category and probability of a cell, None for a cell without a vector."""
        row = self.rows.get(cell_id)
        if row is None or row >= len(self.probabilities):
            return None
        best = int(self.probabilities[row].argmax())
        return self.classes[best], float(self.probabilities[row, best])

    def by_class(self) -> dict[str, NDArray[np.intp]]:
        """Return the rows that are suggested as each class, shape (rows,) each, the least sure first."""
        told = np.asarray(self.probabilities, np.float32)
        best = told.argmax(axis=1)
        two = np.partition(told, -2, axis=1)[:, -2:]
        order = np.argsort(two[:, 1] - two[:, 0], kind="stable")
        return {name: order[best[order] == place] for place, name in enumerate(self.classes)}

    def set_of(self, cell_id: str) -> ClassSet | None:
        """Return the classes among which a cell's right one is; None without a vector or with too few labels."""
        row, sets = self.rows.get(cell_id), conformal_sets(self.conformal)
        if row is None or row >= len(self.probabilities) or sets is None or sets.counts.sum() < FEWEST_FOR_SETS:
            return None
        told = self.probabilities[[row]].astype(np.float64)
        inside = sets.contains(told)[0]
        order = [int(place) for place in np.argsort(-told[0], kind="stable") if inside[place]]
        return ClassSet(classes=tuple(self.classes[place] for place in order),
                        percent=round(100 * (1 - sets.alpha)), labels=int(sets.counts.sum()))  # fmt: skip


def refit(
    database: Database, store: EmbeddingStore | None, folder: Path, label_set: LabelSet, *,
    groups: dict[str, str], reads: int, shares: Shares | None = None, rule: str = DEFAULT_RULE,
    abnormal_percent: int = 0, exemplar_weight: float = 1.0,
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
        abnormal_percent: Share of probably abnormal cells in the queue; 0: as the rules find them.
        exemplar_weight: What an exemplar counts, beside 1 of a doctor's answer.
    """
    started = time.monotonic()
    evidence = gather(database, label_set, reads=reads)
    if store is None or not len(store):
        return _report(evidence, None, None, started)
    study = Study(store, evidence, groups, newest_probe(database), exemplar_weight)
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
    dial = Dial(percent=abnormal_percent, abnormal=guess.abnormal(label_set.abnormal_ids)) if abnormal_percent else None
    queue = rank_mixed(
        study.pool(),
        guess,
        shares or Shares(),
        seed=len(set(study.training.answers().cell_ids)),
        dial=dial,
        first_classes=evidence.order.first_classes,
        near_best=NEAR_BEST.get(rule, 0.0),
    )
    _publish(database, queue, probe)
    probe_files.drop_old(folder, keep=probe_id)
    return _report(evidence, probe_id, found.metrics["balanced_accuracy"], started)


def rebuild(store: EmbeddingStore, folder: Path, probe_id: str) -> LinearProbe:
    """Fit a kept probe again from the labels and settings that it names: the same weights, bit for bit.

    Raises:
        ProbeGone: Its files are gone, or the store is not the one that it saw.
        ProbeOutdated: Another version of the program made it.
    """
    description, training = probe_files.read(folder, probe_id)
    if (algorithm := description["settings"]["algorithm"]) != ALGORITHM:
        raise ProbeOutdated(f"probe {probe_id}: made by another version of the program ({algorithm}).")
    if description["encoder_fingerprint"] != store.fingerprint:
        raise ProbeGone(f"probe {probe_id}: made with encoder {description['encoder_fingerprint']}, not this store's.")
    rows = store.row_of()
    places = np.array([rows[cell_id] for cell_id in training["cells"]], np.intp)
    known = Training(
        cell_ids=training["cells"], vectors=store.stack()[places].astype(np.float64),
        classes=np.array(training["classes"]), weights=np.array(training["weights"]),
        slides=places, is_random=np.zeros(len(places), bool),
        is_exemplar=np.zeros(len(places), bool),
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
    return SuggestionTable(probe.id, tuple(probe.classes), values, store.row_of(), probe.metrics.get("conformal"))


def conformal_sets(told: dict[str, Any] | None) -> ConformalSets | None:
    """Return a probe's sets of classes, see `calibration.ConformalSets`, as its figures tell them."""
    if told is None:
        return None
    return ConformalSets(told["alpha"], np.array(told["thresholds"]), np.array(told["labels"], np.intp))


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
