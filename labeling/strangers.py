"""Cells of which the labels tell nothing: another laboratory's stain, another scanner. Told to people, never hidden."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.acquisition import unit_vectors
from labeling.calibration import ASKED, nearest
from labeling.pool import Singles, spaced_rows
from labeling.probes import Words
from labeling.study import Study

_OWN_SHARE = 0.05
"""Of the labelled cells, how many are farther than the threshold from those of other slides."""
_FEWEST_ON_SLIDE = 3
"""Cells of a slide in the sample below which nothing is said of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StrangeCells:
    """Cells that are farther from every labelled cell than labelled cells are from those of other slides."""

    cells: int
    """Cells that were looked at, without labelled ones."""
    strange: int
    slides: list[str]
    """Slides most of whose cells are strange, those with the most of them first."""


def strange_cells(study: Study, rows: NDArray[np.intp]) -> StrangeCells | None:
    """Look for cells of which the labels tell nothing.

    A probe is as sure of them as of others, and no slide left out says that it is wrong.

    Args:
        study: Vectors and labels.
        rows: Cells to look at, as places in the store, shape (m,).

    Returns:
        None where the labels lie on one slide, or nothing is left to look at.
    """
    training = study.training
    if training is None or len(set(training.slides)) < 2:
        return None
    ids, labelled = study.store.cell_ids, set(training.cell_ids)
    rows = np.array([row for row in rows if ids[row] not in labelled], np.intp)
    if not len(rows):
        return None
    once = np.unique(training.cell_ids, return_index=True)[1]
    known = unit_vectors(training.vectors[once], study.scale)
    is_far = far_from(unit_vectors(study.vectors[rows], study.scale), known, training.slides[once])
    names, places, sizes = np.unique(
        [study.slide_of(ids[row]) for row in rows], return_inverse=True, return_counts=True
    )
    found = np.bincount(places, weights=is_far).astype(int)
    mostly = np.flatnonzero((sizes >= _FEWEST_ON_SLIDE) & (2 * found > sizes))
    return StrangeCells(
        cells=len(rows), strange=int(is_far.sum()),
        slides=[str(names[i]) for i in mostly[np.argsort(-found[mostly], kind="stable")]],
    )  # fmt: skip


def far_from(units: Singles, labelled: Singles, slides: Words) -> NDArray[np.bool_]:
    """Return which rows are farther from the labelled cells than these are from each other, shape (n,).

    Cells of a slide are alike, so a labelled cell is compared with those of other slides: its neighbours on its own
    slide would make every new slide strange.

    Args:
        units: Unit vectors, shape (n, d).
        labelled: Unit vectors, shape (m, d).
        slides: Slide of each labelled cell, at least two of them, shape (m,).
    """
    asked = spaced_rows(len(labelled), ASKED)
    likeness = labelled[asked] @ labelled[asked].T
    likeness[slides[asked][:, None] == slides[asked]] = -np.inf
    own = likeness.max(axis=1)
    threshold = np.quantile(own[np.isfinite(own)], _OWN_SHARE) if np.isfinite(own).any() else -np.inf
    is_far: NDArray[np.bool_] = nearest(units, labelled) < threshold
    return is_far
