"""Nuclei without labels and without weights: dark in red and green light, round enough, one point each.

Two views of the same optical density propose centres. Blobs: differences of Gaussians at six sizes,
each point keeping its strongest answer. Cores: above four thresholds, relative to how dark the
picture gets, the deepest points of the masks, which splits nuclei that touch. Density dark in both
red and green needs no stain model: orange, pink and cyan cytoplasm falls away.

The constants were chosen on half of the CRIC development fields. Knows no catalogue and no file.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from datasets.crops import OUTSIDE, Picture

Floats = NDArray[np.float32]
Points = NDArray[np.float64]

VERSION = 1
"""Goes up when the same picture gives other nuclei."""
WORK_MPP = 0.75
"""Scale of the search; finer ones found no more and cost twice as much."""

_BLOB_RADII_UM = (2.2, 3.0, 4.0, 5.5, 7.5, 10.0)
_BLOB_STEP = 0.06
"""Smallest answer of a blob, in optical density."""
_CORE_LEVELS = (0.15, 0.25, 0.4, 0.6)
"""Thresholds of the cores as shares of the picture's darkness."""
_CORE_RADIUS_UM = (2.0, 8.0)
_DARKNESS_FLOOR = 0.25
"""A picture that is nowhere darker than this has pale cells or none; noise must not be stretched."""
_APART_UM = 3.0
"""Two centres nearer than this are one nucleus."""
_MOST_RADIUS_UM = 12.0
_WEAKEST = 0.015
"""Cores that answer less as blobs are grains of cytoplasm; so pale a labelled nucleus was rare."""
MOST_PER_MM2 = 10_000
"""More dark spots than this are dust, print or noise: the most crowded of 27 CRIC fields gave 6,700."""
_MOST_ANYWHERE = 20
"""A picture of a few cells is no square millimetre."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Nuclei:
    """Found nuclei of one picture; row i of every array is nucleus i, the surest first."""

    centers_px: Points
    """x, y in pixels of the picture, shape (N, 2)."""
    boxes_um: Points
    """left, top, width, height in micrometres from the picture's corner, shape (N, 4)."""
    confidence: NDArray[np.float64]
    """0 to 1, shape (N,), by the step in optical density; one half at a step of 0.1. Orders, is no probability."""
    overlap: NDArray[np.float64]
    """Largest share of the box that another nucleus's box covers, 0 to 1, shape (N,)."""

    def __len__(self) -> int:
        return len(self.centers_px)

    def keep(self, rows: NDArray[np.bool_]) -> "Nuclei":
        """Return the nuclei of the rows that are true, shape (N,)."""
        return Nuclei(centers_px=self.centers_px[rows], boxes_um=self.boxes_um[rows],
                      confidence=self.confidence[rows], overlap=self.overlap[rows])  # fmt: skip


def white_point(picture: Picture) -> NDArray[np.float64]:
    """Return the colour of empty glass: the median of the brightest fifth, at least 180.

    Args:
        picture: RGB, shape (H, W, 3), uint8.

    Returns:
        Red, green, blue, shape (3,).
    """
    sample = picture[::8, ::8].reshape(-1, 3)
    sample = sample[(sample != OUTSIDE).any(axis=1)]
    if not len(sample):
        return np.full(3, 255.0)
    brightness = sample.sum(axis=1, dtype=np.int64)
    bright = sample[brightness >= np.quantile(brightness, 0.8)]
    return np.asarray(np.clip(np.median(bright, axis=0), 180, 255), np.float64)


def find_nuclei(picture: Picture, mpp: float, *, white: NDArray[np.float64] | None = None) -> Nuclei:
    """Find nuclei in a picture.

    Args:
        picture: RGB, shape (H, W, 3), uint8.
        mpp: Its micrometres per pixel.
        white: Colour of empty glass; a tile of a slide takes the slide's. None: the picture's own.

    Returns:
        Nuclei in order of falling confidence, at most `most_nuclei`; empty when there is none.
    """
    density = nuclear_density(picture, mpp, white_point(picture) if white is None else white)
    smooth = np.asarray(cv2.GaussianBlur(density, (0, 0), 0.6 / WORK_MPP), np.float32)
    blobs, answer = _blobs(density)
    darkness = max(float(np.quantile(smooth[::3, ::3], 0.995)), _DARKNESS_FLOOR)
    centers = blobs
    for level in _CORE_LEVELS:
        centers = _add_apart(centers, _cores(smooth > level * darkness))
    columns, rows = centers.astype(np.int64).T
    step = answer[rows, columns].astype(np.float64)
    is_sure = step >= _WEAKEST
    order = np.argsort(-step[is_sure], kind="stable")[: most_nuclei(picture, mpp)]
    centers, step = centers[is_sure][order], step[is_sure][order]
    if not len(centers):
        return Nuclei(centers_px=np.empty((0, 2)), boxes_um=np.empty((0, 4)), confidence=step, overlap=step)
    boxes = _boxes(smooth, centers) * WORK_MPP
    scale = np.array([density.shape[1] / picture.shape[1], density.shape[0] / picture.shape[0]])
    return Nuclei(centers_px=(centers + 0.5) / scale, boxes_um=boxes, confidence=step / (step + 0.1),
                  overlap=_overlaps(boxes))  # fmt: skip


def most_nuclei(picture: Picture, mpp: float) -> int:
    """Return how many nuclei a picture can hold: `MOST_PER_MM2` of its area; arguments as in `find_nuclei`."""
    return _MOST_ANYWHERE + round(MOST_PER_MM2 * picture.shape[0] * picture.shape[1] * mpp**2 / 1e6)


def lie_near(points: Points, others: Points, reach: float) -> NDArray[np.bool_]:
    """Return which points, shape (N, 2), have one of the others, shape (M, 2), at most `reach` away, shape (N,)."""
    if not len(points) or not len(others):
        return np.zeros(len(points), np.bool_)
    # The tree looks below its bound, not at it.
    distance, _ = cKDTree(others).query(points, distance_upper_bound=np.nextafter(reach, np.inf))
    return np.asarray(np.isfinite(distance))


def nuclear_density(picture: Picture, mpp: float, white: NDArray[np.float64]) -> Floats:
    """Return the smaller of the optical densities in red and green, at `WORK_MPP`.

    Args:
        picture: RGB, shape (H, W, 3), uint8. What crops paint outside pictures counts as glass.
        mpp: Its micrometres per pixel.
        white: Colour of empty glass.

    Returns:
        Shape (H * mpp / WORK_MPP, W * mpp / WORK_MPP), 0 and more.
    """
    factor = mpp / WORK_MPP
    size = (max(8, round(picture.shape[1] * factor)), max(8, round(picture.shape[0] * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(picture, size, interpolation=method)
    values = np.arange(1, 257, dtype=np.float64)
    red, green = (np.maximum(-np.log10(values / (white[i] + 1)), 0).astype(np.float32)[small[..., i]] for i in (0, 1))
    return np.asarray(np.minimum(red, green), np.float32)


def _blobs(density: Floats) -> tuple[Points, Floats]:
    """Return centres of blobs, the strongest first, and the strongest answer at each pixel."""
    answer = np.full(density.shape, -np.inf, np.float32)
    radius = np.zeros(density.shape, np.float32)
    for radius_um in _BLOB_RADII_UM:
        sigma = radius_um / WORK_MPP / np.sqrt(2)
        step = cv2.GaussianBlur(density, (0, 0), 0.8 * sigma) - cv2.GaussianBlur(density, (0, 0), 1.25 * sigma)
        radius[step > answer] = radius_um
        answer = np.maximum(answer, step)
    is_peak = (answer >= cv2.dilate(answer, np.ones((3, 3), np.uint8))) & (answer > _BLOB_STEP)
    rows, columns = np.nonzero(is_peak)
    order = np.argsort(-answer[rows, columns], kind="stable")
    taken = np.zeros(density.shape, np.uint8)
    kept = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if not taken[row, column]:
            kept.append((column, row))
            reach = max(2.5, 0.7 * float(radius[row, column])) / WORK_MPP
            cv2.circle(taken, (column, row), round(reach), 1, -1)
    return np.asarray(kept, np.float64).reshape(-1, 2), answer


def _cores(mask: NDArray[np.bool_]) -> Points:
    """Return the deepest points of a mask: one for each convex part, so touching nuclei come apart."""
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, ellipse)
    depth = cv2.GaussianBlur(cv2.distanceTransform(opened, cv2.DIST_L2, 3), (0, 0), 1.0)
    side = 2 * round(2.2 / WORK_MPP) + 1
    low, high = (um / WORK_MPP for um in _CORE_RADIUS_UM)
    is_peak = (depth >= cv2.dilate(depth, np.ones((side, side), np.uint8))) & (depth > low) & (depth < high)
    rows, columns = np.nonzero(is_peak)
    return np.column_stack([columns, rows]).astype(np.float64)


def _add_apart(known: Points, new: Points) -> Points:
    # By trees: all distances of a tile that is nothing but noise took 28 GB.
    reach = _APART_UM / WORK_MPP
    is_first = np.ones(len(new), np.bool_)
    if len(new):
        # Equal depths beside each other are one place.
        is_first[cKDTree(new).query_pairs(reach, output_type="ndarray")[:, 1]] = False
    new = new[is_first]
    return np.vstack([known, new[~lie_near(new, known, reach)]])


def _boxes(smooth: Floats, centers: Points) -> Points:
    """Return left, top, width, height in pixels: the extent of what is dark around each centre.

    A pixel belongs to the nearest centre if it is darker than the middle between that centre and
    its surroundings. The box is the mean +- 2 standard deviations of those pixels, which for a
    filled ellipse is its outline and does not jump with single pixels.
    """
    columns, rows = centers.astype(np.int64).T
    seeds = np.ones(smooth.shape, np.uint8)
    seeds[rows, columns] = 0
    distance, nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    around = cv2.GaussianBlur(smooth, (0, 0), 8.0 / WORK_MPP)
    core = cv2.GaussianBlur(smooth, (0, 0), 1.2 / WORK_MPP)[rows, columns]
    middle = (core + np.minimum(around[rows, columns], 0.8 * core)) / 2
    owner = np.zeros(int(nearest.max()) + 1, np.int64)
    owner[nearest[rows, columns]] = np.arange(len(centers))
    labels = owner[nearest]
    belongs = (distance < _MOST_RADIUS_UM / WORK_MPP) & (smooth >= middle[labels])
    belongs[rows, columns] = True
    _, piece = cv2.connectedComponents(belongs.astype(np.uint8))
    belongs &= piece == piece[rows, columns][labels]
    y, x = np.nonzero(belongs)
    label = labels[belongs]
    count = np.bincount(label, minlength=len(centers))
    sides = []
    for along in (x, y):
        mean = np.bincount(label, along, minlength=len(centers)) / count
        spread = np.bincount(label, along.astype(np.float64) ** 2, minlength=len(centers)) / count - mean**2
        half = 2 * np.sqrt(np.maximum(spread, 0) + 1 / 12)
        sides.append((mean + 0.5 - half, 2 * half))
    return np.column_stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]])


def _overlaps(boxes: Points) -> NDArray[np.float64]:
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    # Boxes that overlap have centres nearer than the longest side, along both axes.
    pairs = cKDTree((low + high) / 2).query_pairs(float(boxes[:, 2:].max()), p=np.inf, output_type="ndarray")
    one, other = pairs.T
    shared = np.minimum(high[one], high[other]) - np.maximum(low[one], low[other])
    area = np.prod(np.maximum(shared, 0), axis=1)
    most = np.zeros(len(boxes))
    np.maximum.at(most, one, area)
    np.maximum.at(most, other, area)
    return np.asarray(most / np.prod(boxes[:, 2:], axis=1), np.float64)
