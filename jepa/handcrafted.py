"""The handcrafted encoder: 223 measures of colour, shape and texture of nucleus and cytoplasm.

What a cytologist's criteria come to without learning: darkness and colour of the chromatin, size
and outline of the nucleus, its share of the cell, granularity. The line that a learned encoder has
to cross, and a partner for it. Knows no weights: equal pictures give equal numbers.
"""

import warnings
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace
from skimage.color import rgb2gray, rgb2hed, rgb2hsv
from skimage.feature import local_binary_pattern
from skimage.filters import threshold_multiotsu
from skimage.measure import label, regionprops

from datasets.crops import OUTSIDE
from datasets.files import sha256_of_json

Picture = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""
Floats = NDArray[np.float64]

SIDE_PX = 96
"""Every cell is measured at this size."""
_COLOUR_BINS = 12
_COLOUR_RANGES = {"rgb": (0.0, 1.0), "hsv": (0.0, 1.0), "hed": (-0.1, 0.4)}
_RING_PX, _RINGS = 6, 8
_TEXTURES = ((8, 1), (8, 2), (8, 4))
"""Points and radius in pixels of the local binary patterns."""
_LARGEST_OUTSIDE = 0.9
"""A crop with more paint than this is measured as it is."""
_PREPROCESSING = 1
"""Raise when a measure changes: vectors before and after must not mix."""


class HandcraftedEncoder:
    """Measures instead of learning, with the interface of a frozen encoder."""

    dim = 223
    image_px = SIDE_PX
    fingerprint = sha256_of_json({"encoder": "handcrafted", "version": _PREPROCESSING, "side": SIDE_PX})[:16]

    def prepare(self, crop: Picture, crop_mpp: float | None) -> Picture:
        """Cut away what a crop has outside its picture, and bring the rest to one size.

        Args:
            crop: RGB, shape (H, W, 3), uint8.
            crop_mpp: Its um/px; not used: the crops of a study have one scale.

        Returns:
            Shape (SIDE_PX, SIDE_PX, 3), uint8.
        """
        inside = _inside(crop)
        return np.asarray(cv2.resize(inside, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR), np.uint8)

    def embed(self, pictures: Picture) -> NDArray[np.float32]:
        """Measure prepared pictures.

        Args:
            pictures: Shape (B, SIDE_PX, SIDE_PX, 3), uint8.

        Returns:
            Shape (B, 223), float32, finite.
        """
        return np.stack([measure(picture) for picture in pictures]).astype(np.float32)


def measure(picture: Picture) -> Floats:
    """Measure a picture of SIDE_PX x SIDE_PX, shape (223,): 144 colour, 30 texture, 32 rings, 11 nucleus, 6 edges."""
    light = picture / 255.0
    grey = rgb2gray(light)
    parts = [*_colour(light), *_texture(grey), *_rings(light, grey), _nucleus(grey), _edges(grey)]
    return np.nan_to_num(np.concatenate(parts), nan=0.0, posinf=0.0, neginf=0.0)


def _inside(crop: Picture) -> Picture:
    """Return the rectangle of the crop that is not painted as outside."""
    is_painted = (crop == np.array(OUTSIDE, np.uint8)).all(axis=2)
    rows, columns = np.flatnonzero(~is_painted.all(axis=1)), np.flatnonzero(~is_painted.all(axis=0))
    if is_painted.mean() > _LARGEST_OUTSIDE * 1.1 or not len(rows) or not len(columns):
        return crop
    return crop[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _colour(light: Floats) -> Iterator[Floats]:
    spaces = {"rgb": light, "hsv": rgb2hsv(light), "hed": rgb2hed(light)}
    for name, space in spaces.items():
        for channel in np.moveaxis(space, 2, 0):
            yield _histogram(channel, _COLOUR_BINS, _COLOUR_RANGES[name])
            yield np.array([channel.mean(), channel.std(), *np.percentile(channel, [5, 95])])


def _texture(grey: Floats) -> Iterator[Floats]:
    levels = (grey * 255).astype(np.uint8)
    for points, radius in _TEXTURES:
        yield _histogram(local_binary_pattern(levels, points, radius, "uniform"), 10, (0, 10))


def _rings(light: Floats, grey: Floats) -> Iterator[Floats]:
    centre = (SIDE_PX - 1) / 2
    rows, columns = np.indices(grey.shape)
    ring = (np.hypot(rows - centre, columns - centre) / _RING_PX).astype(np.intp)
    for number in range(_RINGS):
        chosen = ring == number
        yield np.array([grey[chosen].mean(), grey[chosen].std(), light[chosen, 0].mean(), light[chosen, 2].mean()])


def _nucleus(grey: Floats) -> Floats:
    """Measure the largest dark region, and how much of the picture is nucleus and cell."""
    try:
        dark, bright = threshold_multiotsu(grey, classes=3)
    except ValueError:  # fewer than three grey levels: there is nothing to measure
        return np.zeros(11)
    is_dark = grey < dark
    regions = regionprops(label(is_dark))
    if not regions:
        return np.zeros(11)
    largest = max(regions, key=lambda region: region.area)
    values = grey[tuple(largest.coords.T)]
    cell = int((grey < bright).sum())
    with warnings.catch_warnings():
        # A region of one line of pixels has no hull; its solidity is then 1 by definition.
        warnings.simplefilter("ignore")
        solidity = largest.solidity
    return np.array([
        np.log(largest.area), largest.eccentricity, solidity, largest.extent,
        largest.perimeter / np.sqrt(largest.area + 1), values.mean(), values.std(), len(regions),
        is_dark.mean(), np.log(cell + 1), is_dark.sum() / (cell + 1),
    ])  # fmt: skip


def _edges(grey: Floats) -> Floats:
    steps = np.hypot(*np.gradient(grey))
    grain = [np.abs(laplace(gaussian_filter(grey, sigma))).mean() for sigma in (1, 2, 4)]
    return np.array([steps.mean(), steps.std(), np.percentile(steps, 95), *grain])


def _histogram(values: Floats, bins: int, limits: tuple[float, float]) -> Floats:
    counts = np.histogram(values, bins, limits)[0]
    shares: Floats = np.sqrt(counts / max(counts.sum(), 1))
    return shares
