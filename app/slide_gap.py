"""Does the encoder see the cell or the slide? Two figures of real vectors, computed in the job that draws the map.

maps/<fingerprint>-slides.json   neighbours from the own slide, and what the probe loses on unknown slides
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.services import Services
from datasets import catalog
from datasets.embeddings import EmbeddingStore
from datasets.files import write_json
from labeling.heldout import held_out
from labeling.probes import LinearProbe
from labeling.study import Study

_CELLS, _NEIGHBOURS = 2000, 10


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideGap:
    """What an encoder's vectors know of slides."""

    cells: int
    """Cells drawn by chance whose nearest neighbours were looked at."""
    own_slide: float
    """Share of their nearest neighbours that are of their own slide."""
    by_chance: float
    """The same share if neighbours were drawn by chance."""
    labels: int
    """Labelled cells behind the two figures below."""
    unknown_slides: float | None
    """Balanced accuracy on slides that the probe has not seen; None while the labels are too few."""
    known_slides: float | None
    """The same on cells that were left out, of slides that it has seen."""


def measure_gap(services: Services, store: EmbeddingStore) -> SlideGap:
    """Compute the figures of a store's vectors and the labels as they stand."""
    slides = catalog.slide_of_cells(services.database)
    own, chance, cells = _neighbours(store, np.array([slides.get(cell, cell) for cell in store.cell_ids]))
    study = Study.open(services.database, store, services.label_set, groups=slides, reads=services.settings.reads)
    training = study.training
    found: dict[str, float | None] = {"unknown": None, "known": None}
    if training is not None and len(set(training.classes)) > 1:
        probe = LinearProbe(mean=study.scale.mean, std=study.scale.std, C=study.strength())
        alone = np.arange(len(training.classes))
        for name, groups in (("unknown", training.slides), ("known", alone)):
            result = held_out(training.vectors, training.classes, groups, probe=probe, sample_weight=training.weights)
            found[name] = result.balanced_accuracy if result else None
    return SlideGap(
        cells=cells, own_slide=own, by_chance=chance, labels=0 if training is None else len(training.classes),
        unknown_slides=found["unknown"], known_slides=found["known"],
    )  # fmt: skip


def _neighbours(store: EmbeddingStore, slides: NDArray[np.str_]) -> tuple[float, float, int]:
    generator = np.random.default_rng(0)
    rows = np.sort(generator.permutation(len(store))[:_CELLS])
    vectors = store.stack()[rows].astype(np.float32)
    vectors -= vectors.mean(axis=0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    nearest = np.argpartition(-likeness, min(_NEIGHBOURS, len(rows) - 2), axis=1)[:, :_NEIGHBOURS]
    of = slides[rows]
    _, code, count = np.unique(of, return_inverse=True, return_counts=True)
    chance = float(((count[code] - 1) / (len(rows) - 1)).mean())
    return float((of[nearest] == of[:, None]).mean()), chance, len(rows)


def gap_path(home: Path, fingerprint: str) -> Path:
    """Return where an encoder's figures lie."""
    return home / "maps" / f"{fingerprint}-slides.json"


def write_gap(home: Path, fingerprint: str, gap: SlideGap) -> None:
    """Keep the figures beside the map."""
    write_json(gap_path(home, fingerprint), asdict(gap))


def read_gap(home: Path, fingerprint: str) -> SlideGap | None:
    """Return an encoder's figures, None before the job has run."""
    path = gap_path(home, fingerprint)
    return SlideGap(**json.loads(path.read_text())) if path.exists() else None
