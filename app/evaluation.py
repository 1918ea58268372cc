"""How good are suggestions from few labels? Encoders beside chance, size alone and no training.

Truth is what came with the data (annotator `imported`), or what the doctors of this study decided.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score
from sqlalchemy.orm import Session

from app.services import Services
from app.training import read_crop
from datasets import catalog
from datasets.errors import DatasetError
from jepa.embed import Encoder
from labeling import curves
from labeling.acquisition import DEFAULT_RULE
from labeling.answers import blind_cells, current_labels
from labeling.curves import Truth
from labeling.export.rows import Selection, Study, iter_references
from labeling.judging import interval_over_slides
from labeling.probes import LinearProbe
from labeling.records import IMPORTED

_GOAL = 0.95
"""Share of the all-labels score for which labels are counted."""
_RARE = 0.05
"""A class with a smaller share of the cells is called rare."""

TRUTHS = ("imported", "doctors")
"""Whose labels an evaluation takes as truth."""
_ELSEWHERE = {
    "imported": "Ingest a set that came with labels, or take the doctors' with --truth doctors.",
    "doctors": "Label more cells, or take what came with the data with --truth imported.",
}

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Balanced accuracy of one encoder at one number of labels of each class."""

    encoder: str
    shots: int
    balanced_accuracy: float
    low: float
    """Lower end of the 95 % interval of the mean over draws."""
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorScore:
    """Balanced accuracy of one encoder with the labels that doctors gave in this study."""

    encoder: str
    labels: int
    balanced_accuracy: float
    low: float
    """Lower end of the 95 % interval over slides."""
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePair:
    """Label efficiency of one encoder: the study's own queue against chance, means over draws."""

    encoder: str
    labels: list[int]
    active: list[tuple[float, float, float]]
    """Mean, low and high of the 95 % interval at each number of labels."""
    random: list[tuple[float, float, float]]
    all_labels: float
    """Score with every label of the training side."""
    active_labels_needed: int | None
    """For 95 % of `all_labels`; None: not reached."""
    random_labels_needed: int | None
    rare_classes: list[str]
    """Classes with less than 5 % of the cells."""
    rare_found_active: float
    """Cells of them among the labels asked, mean over draws."""
    rare_found_random: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Cells with known truth."""

    cell_ids: list[str]
    truth: NDArray[np.str_]
    """Class of each cell, shape (N,)."""
    slides: NDArray[np.str_]
    """Slide of each cell, shape (N,)."""
    sizes: Floats
    """Logarithm of width and height of single-cell pictures, shape (N, 2); zeros for fields."""

    @property
    def split_by(self) -> Truth:
        """Classes and slides, as the curves want them."""
        return Truth(classes=self.truth, slides=self.slides)


def load_pool(services: Services, truth: str = TRUTHS[0]) -> Pool:
    """Collect the cells whose truth is a class of the study.

    Args:
        services: The open workspace.
        truth: `imported`: what came with the data; `doctors`: the adjudicator's verdict, else the majority of the
            doctors' current labels, without the blind test set.

    Raises:
        DatasetError: There are none of two classes, or all lie on one slide.
    """
    with services.database.read() as session:
        found = _decided(session, services) if truth == "doctors" else _imported(session)
    labels = {cell_id: name for cell_id, name in found.items() if name in services.label_set.class_ids}
    cells = [cell for cell in catalog.cells(services.database) if cell.id in labels]
    if len(set(labels.values())) < 2:
        raise DatasetError(
            f"evaluation needs cells of two classes, and the truth `{truth}` has {len(set(labels.values()))}. "
            f"{_ELSEWHERE[truth]}"
        )
    if len({cell.slide_id for cell in cells}) < 2:
        raise DatasetError(
            "all labelled cells are of one slide or group, which train and test would share. "
            "Add another, or give --groups."
        )
    sizes = [(cell.source_width_px or 1, cell.source_height_px or 1) for cell in cells]
    return Pool(
        cell_ids=[cell.id for cell in cells],
        truth=np.array([labels[cell.id] for cell in cells]),
        slides=np.array([cell.slide_id for cell in cells]),
        sizes=np.log(np.array(sizes, np.float32)),
    )


def _imported(session: Session) -> dict[str, str]:
    everybody = current_labels(session, include_imported=True)
    return {label.cell_id: label.category for label in everybody if label.annotator == IMPORTED}


def _decided(session: Session, services: Services) -> dict[str, str]:
    doctors = {label.cell_id for label in current_labels(session)} - blind_cells(session)
    rows = iter_references(session, Study(label_set=services.label_set, crop_px=0), Selection())
    return {row["cell"]: row["category"] for row in rows if row["cell"] in doctors}


def store_features(services: Services, pool: Pool) -> Floats:
    """Look the pool's vectors up in the current store, shape (N, dim).

    Raises:
        DatasetError: No store, or a cell without a vector.
    """
    store = services.store()
    if store is None or store.missing(pool.cell_ids):
        raise DatasetError("some cells have no vector. Run `cytojepa embed` first.")
    rows = np.array([store.row_of()[cell_id] for cell_id in pool.cell_ids], np.intp)
    return store.stack()[rows].astype(np.float32)


def encoder_features(
    services: Services, pool: Pool, encoder: Encoder,
    on_progress: Callable[[int, int], None], batch_size: int = 64,
) -> Floats:  # fmt: skip
    """Embed the pool with an encoder without storing anything, shape (N, dim).

    Args:
        services: The open workspace.
        pool: N cells with their crops.
        encoder: The frozen encoder.
        on_progress: Is told how many of how many crops are done.
        batch_size: Crops at a time.
    """
    scales = {cell.id: cell.crop_mpp for cell in catalog.cells(services.database)}
    parts = []
    for start in range(0, len(pool.cell_ids), batch_size):
        batch = pool.cell_ids[start : start + batch_size]
        pictures = [encoder.prepare(read_crop(services, i), scales[i]) for i in batch]
        parts.append(encoder.embed(np.stack(pictures)))
        on_progress(min(start + batch_size, len(pool.cell_ids)), len(pool.cell_ids))
    return np.concatenate(parts)


def chance(pool: Pool) -> float:
    """Return the balanced accuracy of guessing: one over the number of classes."""
    return 1 / len(set(pool.truth))


def score_shots(pool: Pool, name: str, features: Floats, *, shots: Sequence[int], seeds: int) -> list[Score]:
    """Score one encoder at each number of labels of every class, tested on other slides.

    Args:
        pool: N cells with known truth.
        name: Of the encoder.
        features: Its vectors of the pool, shape (N, dim).
        shots: Numbers of labels of each class.
        seeds: Draws of each number.

    Raises:
        DatasetError: No draw leaves two classes to train on.
    """
    scores = []
    for count in shots:
        values = curves.low_shot(features, pool.split_by, shots=count, seeds=seeds)
        if not values:
            raise DatasetError("no split by slide has two classes on the training side; give more slides or groups.")
        mean, low, high = curves.interval(values)
        scores.append(Score(encoder=name, shots=count, balanced_accuracy=mean, low=low, high=high))
    return scores


def compare_queues(
    pool: Pool, name: str, features: Floats, *, budget: int, seeds: int, rule: str = DEFAULT_RULE
) -> CurvePair:
    """Run the study's own queue against chance, on the same splits.

    Args:
        pool: N cells with known truth.
        name: Of the encoder.
        features: Its vectors of the pool, shape (N, dim).
        budget: Labels of each run.
        seeds: Runs of each kind.
        rule: Of `acquisition.RULES`.
    """
    arms: dict[bool, list[curves.Curve]] = {
        is_active: [
            curves.learning_curve(features, pool.split_by, is_active=is_active, budget=budget, seed=seed, rule=rule)
            for seed in range(seeds)
        ]
        for is_active in (True, False)
    }
    length = min(len(curve.labels) for runs in arms.values() for curve in runs)
    points = {
        arm: [curves.interval([curve.scores[i] for curve in runs]) for i in range(length)] for arm, runs in arms.items()
    }
    goal = float(np.mean([curves.all_labels_score(features, pool.split_by, seed) for seed in range(seeds)]))
    labels = arms[True][0].labels[:length]
    needed = {arm: curves.labels_needed(labels, [p[0] for p in points[arm]], _GOAL * goal) for arm in arms}
    names, counts = np.unique(pool.truth, return_counts=True)
    rare = names[counts < _RARE * counts.sum()].tolist()
    found = {
        arm: float(np.mean([sum(curve.found[length - 1].get(n, 0) for n in rare) for curve in runs]))
        for arm, runs in arms.items()
    }
    return CurvePair(
        encoder=name, labels=labels, active=points[True], random=points[False], all_labels=goal,
        active_labels_needed=needed[True], random_labels_needed=needed[False],
        rare_classes=rare, rare_found_active=found[True], rare_found_random=found[False],
    )  # fmt: skip


def score_doctors(services: Services, pool: Pool, name: str, features: Floats) -> DoctorScore | None:
    """Train on the doctors' labels of this study, test on slides that no doctor has touched.

    `features` are the encoder's vectors of the pool, shape (N, dim).

    Returns:
        The score, or None while the doctors have not used two classes or nothing is left to test.
    """
    with services.database.read() as session:
        walled = blind_cells(session)
        labels = {
            label.cell_id: label.category
            for label in current_labels(session)
            if label.category in services.label_set.class_ids and label.cell_id not in walled
        }
    train = np.array([cell_id in labels for cell_id in pool.cell_ids])
    test = ~np.isin(pool.slides, pool.slides[train])
    answers = np.array([labels[i] for i in pool.cell_ids if i in labels])
    if len(set(answers)) < 2 or not test.any():
        return None
    guesses = LinearProbe().fit(features[train], answers).predict(features[test])
    low, high = interval_over_slides(pool.truth[test], guesses, pool.slides[test])
    value = float(balanced_accuracy_score(pool.truth[test], guesses))
    return DoctorScore(encoder=name, labels=len(answers), balanced_accuracy=value, low=low, high=high)


def as_json(rows: Sequence[Score | DoctorScore | CurvePair]) -> list[dict[str, Any]]:
    """Return dataclasses as what JSON knows."""
    return [asdict(row) for row in rows]
