"""Vectors and labels of a study, joined by row: what a fit learns from and what the worklist ranks. Only reads."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sqlalchemy import select

from datasets.bethesda import LabelSet
from datasets.db import Database
from datasets.embeddings import EmbeddingStore
from datasets.files import sha256_of_json
from labeling import fitting
from labeling.acquisition import PoolView, unit_vectors
from labeling.calibration import novelty
from labeling.evidence import Evidence, gather
from labeling.fitting import Fit, Training
from labeling.heldout import held_out
from labeling.pool import PoolScale
from labeling.probes import LinearProbe
from labeling.records import Probe
from labeling.reference import likely_slips
from labeling.worklist import Pool

ALGORITHM = "balanced L2 multinomial logistic regression, version 5"

_ROUGH = 1e-3
"""Tolerance of the fit that shares parents' answers out: a share moves by .001 in the mean, by .04 at most."""


def newest_probe(database: Database) -> Probe | None:
    """Return the newest fit, None before the first."""
    with database.read() as session:
        return session.scalar(select(Probe).order_by(Probe.number.desc()).limit(1))


def edition(database: Database) -> str:
    """Return which making of the ranked list holds now: another text after each fit; empty before the first."""
    with database.read() as session:
        made_at = session.scalar(select(Probe.made_at).order_by(Probe.number.desc()).limit(1))
    return "" if made_at is None else made_at.isoformat()


class Study:
    """Vectors and labels, joined by row.

    Args:
        store: Vectors of the current encoder.
        evidence: What the labels say.
        groups: Slide of each cell.
        before: The newest probe, whose strength is kept until the labels have doubled.
        exemplar_weight: What an exemplar counts, beside 1 of a doctor's answer.
    """

    def __init__(
        self, store: EmbeddingStore, evidence: Evidence, groups: dict[str, str], before: Probe | None,
        exemplar_weight: float = 1.0,
    ) -> None:  # fmt: skip
        self._exemplar_weight = exemplar_weight
        self.store, self.evidence, self._groups, self._before = store, evidence, groups, before
        self.vectors = store.stack()
        self.scale = PoolScale.of(self.vectors)
        self._rows = store.row_of()
        self.training = self._with_parents(self._training(evidence.shares))
        self._tuning_key = ""

    @classmethod
    def open(cls, database: Database, store: EmbeddingStore, label_set: LabelSet, *, groups: dict[str, str],
             reads: int, exemplar_weight: float = 1.0) -> "Study":  # fmt: skip
        """Join a study's labels with its vectors as they stand.

        Args:
            database: The study's database.
            store: Its vectors.
            label_set: Its categories.
            groups: Slide of each cell.
            reads: Doctors that a shared cell needs.
            exemplar_weight: Of a cell of the atlas against a doctor's label.
        """
        evidence = gather(database, label_set, reads=reads)
        return cls(store, evidence, groups, newest_probe(database), exemplar_weight)

    def fit(self) -> Fit:
        """Fit and calibrate on all labels."""
        assert self.training is not None
        return fitting.fit(self.training, self.scale, strength=self.strength())

    def settings(self, found: Fit) -> dict[str, object]:
        """Return all that a fit is made with, besides the labels."""
        return {"algorithm": ALGORITHM, "rows": len(self.store), "tuned_on": self._tuning_key,
                **fitting.refit_settings(found.probe)}  # fmt: skip

    def slide_of(self, cell_id: str) -> str:
        """Return the slide of a cell; a cell without one is its own."""
        return self._groups.get(cell_id, cell_id)

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
        only = self._on(self.evidence.order.only_slides)
        if only is not None:
            is_open &= only
        is_test = self._is_test()
        test_rows = np.flatnonzero(is_open & is_test)
        is_open &= ~is_test
        leased, waiting, second = map(self._places, (self.evidence.leased, self.evidence.waiting, self.evidence.second))
        decided = self._places({*self.evidence.shares, *self.evidence.exemplars})
        known = np.union1d(decided, leased[~is_test[leased]])
        return Pool(
            cell_ids=self.store.cell_ids, view=PoolView(self.vectors, self.scale),
            open_rows=np.flatnonzero(is_open), known_rows=known,
            waiting_rows=waiting[is_open[waiting]], second_rows=second[is_open[second]],
            first_slides=self._on(self.evidence.order.first_slides), test_rows=test_rows,
        )  # fmt: skip

    def _is_test(self) -> NDArray[np.bool_]:
        """Return which rows belong to the blind test set."""
        found = self._on(self.evidence.blind_slides)
        return np.zeros(len(self.store), bool) if found is None else found

    def _on(self, slides: Collection[str]) -> NDArray[np.bool_] | None:
        """Return which rows lie on some slides; None without slides."""
        wanted, of = set(slides), self._groups
        if not wanted:
            return None
        return np.fromiter((of.get(i) in wanted for i in self.store.cell_ids), bool, len(self.store))

    def _places(self, cells: object) -> NDArray[np.intp]:
        return np.array(sorted(self._rows[i] for i in cells if i in self._rows), np.intp)  # type: ignore[attr-defined]

    def _training(self, shares: dict[str, dict[str, float]]) -> Training | None:
        shown = {i: name for i, name in self.evidence.exemplars.items() if i in self._rows and self._exemplar_weight}
        rows = [(i, name, self._exemplar_weight) for i, name in shown.items()]
        rows += [
            (i, name, part) for i, parts in shares.items() if i in self._rows for name, part in parts.items() if part
        ]
        is_exemplar = np.arange(len(rows)) < len(shown)
        if not rows:
            return None
        cells = [cell_id for cell_id, _, _ in rows]
        return Training(
            cell_ids=cells, vectors=self.vectors[np.array([self._rows[i] for i in cells], np.intp)].astype(np.float64),
            classes=np.array([name for _, name, _ in rows]), weights=np.array([part for _, _, part in rows]),
            slides=np.array([self.slide_of(i) for i in cells]),
            is_random=np.array([i in self.evidence.random for i in cells]) & ~is_exemplar, is_exemplar=is_exemplar,
        )  # fmt: skip

    def _with_parents(self, training: Training | None) -> Training | None:
        """Add the cells that only a parent node was given to, in the shares that the others suggest."""
        parents = {i: covers for i, covers in self.evidence.parents.items() if i in self._rows}
        if training is None or not parents or len(set(training.classes)) < 2:
            return training
        probe = LinearProbe(mean=self.scale.mean, std=self.scale.std, tol=_ROUGH).fit(
            training.vectors, training.classes, sample_weight=training.weights
        )
        places = np.array([self._rows[i] for i in parents], np.intp)
        spread = fitting.spread_parents(probe, self.vectors[places].astype(np.float64), list(parents.values()))
        return self._training({**self.evidence.shares, **dict(zip(parents, spread, strict=True))})

    def strength(self) -> float:
        """Tune on the first power of two of the labels: anew at each doubling, and never by the last label."""
        training = self.training
        assert training is not None
        exemplars = int(training.is_exemplar.sum())
        answers = len(training.cell_ids) - exemplars
        first = training.first(exemplars + (1 << (answers.bit_length() - 1) if answers else 0))
        self._tuning_key = sha256_of_json(
            [self.store.fingerprint, first.cell_ids, first.classes.tolist(), first.weights.round(6).tolist()]
        )[:16]
        if self._before is not None and self._before.settings.get("tuned_on") == self._tuning_key:
            return float(self._before.settings["C"])
        return fitting.tune(first, self.scale)


@dataclass(frozen=True, kw_only=True, slots=True)
class LikelyError:
    """A cell whose label deserves a second look."""

    cell_id: str
    answer: str
    likelihood: float
    """What a probe that has not seen the slide gives to the answer, 0 to 1."""
    novelty: float
    """How unusual the cell is among the other labelled ones, 0 to 1: near 1 the doubt says little."""


def likely_errors(study: Study) -> list[LikelyError]:
    """Return undisputed labels that a probe which has not seen their slide finds least likely.

    At most 30, the least likely first: for a second look by a doctor who is not told why, never for
    correction by the program. Empty while the labels are too few to say.
    """
    training = study.training
    if training is None or len(set(training.classes)) < 2:
        return []
    probe = LinearProbe(C=study.strength(), mean=study.scale.mean, std=study.scale.std)
    found = held_out(
        training.vectors, training.classes, training.slides, sample_weight=training.weights,
        probe=probe.fit(training.vectors, training.classes, sample_weight=training.weights),
        is_extra=training.is_exemplar,
    )  # fmt: skip
    if found is None:
        return []
    rows = np.flatnonzero(found.has_logits & (training.weights > 1 - 1e-9))
    probabilities = softmax(found.logits[rows], axis=1)
    units = unit_vectors(training.vectors, study.scale)
    places = likely_slips(probabilities, found.codes[rows])
    unusual = novelty(units[rows[places]], units, own_places=rows[places])
    return [
        LikelyError(
            cell_id=training.cell_ids[rows[place]], answer=str(training.classes[rows[place]]),
            likelihood=float(probabilities[place, found.codes[rows[place]]]), novelty=float(far),
        )
        for place, far in zip(places, unusual, strict=True)
    ]  # fmt: skip
