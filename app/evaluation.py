"""How good are suggestions from few labels? Encoders beside chance, size alone and no training.

Truth is what came with the data (annotator `imported`). Train and test never share a slide: cells
of one slide share stain and focus, and a split by cell flatters by several points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score

from app.services import Services
from app.training import read_crop
from datasets import catalog
from datasets.errors import DatasetError
from jepa.encoder import FrozenEncoder
from labeling.answers import current_labels
from labeling.probes import LinearProbe
from labeling.records import IMPORTED

TEST_SHARE = 0.4
"""Share of the slides on the test side of a low-shot draw."""
_BOOTSTRAPS = 500

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Balanced accuracy of one encoder at one number of labels."""

    encoder: str
    shots: str
    """Labels for each class, or "doctors" for the labels that doctors gave in this study."""
    balanced_accuracy: float
    low: float
    """Lower end of the 95 % interval: over draws, or over slides where there is one draw."""
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Cells with known truth."""

    cell_ids: list[str]
    truth: NDArray[np.str_]
    slides: NDArray[np.str_]
    sizes: Floats
    """Logarithm of width and height of single-cell pictures, shape (N, 2); zeros for fields."""


def load_pool(services: Services) -> Pool:
    """Collect the cells whose imported label is a class of the study.

    Raises:
        DatasetError: There is none.
    """
    with services.database.read() as session:
        labels = {
            label.cell_id: label.category
            for label in current_labels(session, include_imported=True)
            if label.annotator == IMPORTED and label.category in services.label_set.class_ids
        }
    cells = [cell for cell in catalog.cells(services.database) if cell.id in labels]
    if len(set(labels.values())) < 2:
        raise DatasetError("evaluation needs cells that came with labels of two classes. Ingest such a set.")
    sizes = [(cell.source_width_px or 1, cell.source_height_px or 1) for cell in cells]
    return Pool(
        cell_ids=[cell.id for cell in cells],
        truth=np.array([labels[cell.id] for cell in cells]),
        slides=np.array([cell.slide_id for cell in cells]),
        sizes=np.log(np.array(sizes, np.float32)),
    )


def store_features(services: Services, pool: Pool) -> Floats:
    """Look the pool's vectors up in the current store, shape (N, dim).

    Raises:
        DatasetError: No store, or a cell without a vector.
    """
    store = services.store()
    if store is None or store.missing(pool.cell_ids):
        raise DatasetError("some cells have no vector. Run `cytojepa embed` first.")
    row_of = {cell_id: row for row, cell_id in enumerate(store.cell_ids)}
    return store.vectors()[[row_of[cell_id] for cell_id in pool.cell_ids]].astype(np.float32)


def encoder_features(
    services: Services, pool: Pool, encoder: FrozenEncoder,
    on_progress: Callable[[int, int], None], batch_size: int = 64,
) -> Floats:  # fmt: skip
    """Embed the pool with an encoder without storing anything, shape (N, dim)."""
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


def score_doctors(services: Services, pool: Pool, name: str, features: Floats) -> Score | None:
    """Train on the doctors' labels of this study, test on slides that no doctor has touched.

    Returns:
        The score, or None while the doctors have not used two classes or nothing is left to test.
    """
    with services.database.read() as session:
        labels = {
            label.cell_id: label.category
            for label in current_labels(session)
            if label.category in services.label_set.class_ids
        }
    train = np.array([cell_id in labels for cell_id in pool.cell_ids])
    test = ~np.isin(pool.slides, pool.slides[train])
    answers = np.array([labels[i] for i in pool.cell_ids if i in labels])
    if len(set(answers)) < 2 or not test.any():
        return None
    guesses = LinearProbe().fit(features[train], answers).predict(features[test])
    low, high = _interval_over_slides(pool.truth[test], guesses, pool.slides[test])
    value = float(balanced_accuracy_score(pool.truth[test], guesses))
    return Score(encoder=name, shots="doctors", balanced_accuracy=value, low=low, high=high)


def score_shots(pool: Pool, name: str, features: Floats, *, shots: int, seeds: int) -> Score:
    """Train on `shots` cells of each class, test on other slides; the mean over draws.

    A class with fewer cells on the training side gives all that it has.
    """
    values = [_one_draw(pool, features, shots, seed) for seed in range(seeds)]
    half = 1.96 * float(np.std(values)) / max(1, len(values) - 1) ** 0.5
    mean = float(np.mean(values))
    return Score(encoder=name, shots=str(shots), balanced_accuracy=mean, low=mean - half, high=mean + half)


def _one_draw(pool: Pool, features: Floats, shots: int, seed: int) -> float:
    generator = np.random.default_rng(seed)
    slides = generator.permutation(np.unique(pool.slides))
    test = np.isin(pool.slides, slides[: round(TEST_SHARE * len(slides))])
    order = generator.permutation(np.flatnonzero(~test))
    chosen = np.concatenate([order[pool.truth[order] == name][:shots] for name in np.unique(pool.truth)])
    guesses = LinearProbe().fit(features[chosen], pool.truth[chosen]).predict(features[test])
    return float(balanced_accuracy_score(pool.truth[test], guesses))


def _interval_over_slides(
    truth: NDArray[np.str_], guesses: NDArray[np.str_], slides: NDArray[np.str_]
) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    rows_of = [np.flatnonzero(slides == slide) for slide in np.unique(slides)]
    values = []
    for _ in range(_BOOTSTRAPS):
        picked = generator.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[i] for i in picked])
        hits = truth[rows] == guesses[rows]
        values.append(np.mean([hits[truth[rows] == name].mean() for name in np.unique(truth[rows])]))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def evaluate(
    services: Services, pool: Pool, features: dict[str, Floats], *, shots: Sequence[int], seeds: int
) -> list[Score]:
    """Score every feature set at the doctors' labels and at each number of shots."""
    scores = []
    for name, values in features.items():
        by_doctors = score_doctors(services, pool, name, values)
        scores += [by_doctors] if by_doctors else []
        scores += [score_shots(pool, name, values, shots=n, seeds=seeds) for n in shots]
    return scores
