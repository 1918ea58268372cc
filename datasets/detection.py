"""Where there is something to see: empty glass is left out of the tiles, and stain without a nucleus is offered."""

import itertools
import math
from collections import defaultdict

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.crops import OUTSIDE

WORK_MPP = 2.0
"""Scale at which foreground is judged."""
_DENSITY, _CHROMA, _SHARE = 0.08, 40, 0.05
_DARK = 60
_SPOT_MPP, _SPOT_UM = 0.75, 2.2
"""Scale at which spots are weighed, and their radius: of the smallest nuclei."""
_DENSE_PER_MM2 = 3_000
"""Where fewer are found than this, noise cannot flood a catalogue."""
_FEW = 100
"""So few spots tell nothing of how they are spread, and flood nothing."""
_LEAST_SKEW, _LEAST_PART_SKEW, _LEAST_ALIKE = 0.3, 0.5, 0.6
_PARTS = 4
"""A picture is cut into so many parts each way."""
GRID_UM = 32.0
"""Side of the squares in which stain without a nucleus is noticed."""
_GRID_SHARE = 0.2
_GRID_SIGMA_UM = 3.0
"""The darkest place of a square is looked for at about the size of a pale nucleus."""
_ASIDE = 0.3
"""Grey levels that a pixel of 2 um from the middle of its square costs."""


def foreground_share(tile: NDArray[np.uint8], mpp: float) -> float:
    """Return the share of pixels that are stained: optical density above 0.08, or colourful.

    Args:
        tile: RGB, shape (H, W, 3), uint8. What crops paint outside pictures counts as empty.
        mpp: Its micrometres per pixel.
    """
    return float(foreground_mask(tile, mpp).mean())


def foreground_mask(tile: NDArray[np.uint8], mpp: float) -> NDArray[np.bool_]:
    """Return where a tile is stained, at 2 um per pixel; arguments as in `foreground_share`."""
    factor = mpp / WORK_MPP
    size = (max(1, round(tile.shape[1] * factor)), max(1, round(tile.shape[0] * factor)))
    small = np.asarray(cv2.resize(tile, size, interpolation=cv2.INTER_AREA), np.float64)
    outside = (np.abs(small - OUTSIDE) < 2).all(axis=2)
    white = np.clip(np.quantile(small.reshape(-1, 3), 0.95, axis=0), 180, 255)
    chroma = small.max(axis=2) - small.min(axis=2)
    stained = ((-np.log10((small + 1) / (white + 1))).max(axis=2) > _DENSITY) | (chroma > _CHROMA)
    return np.asarray(stained & ~outside)


def has_foreground(tile: NDArray[np.uint8], mpp: float) -> bool:
    """Return whether more than a twentieth of a tile is stained; arguments as in `foreground_share`."""
    return foreground_share(tile, mpp) > _SHARE


def is_bright_field(overview: NDArray[np.uint8]) -> bool:
    """Return whether a slide, RGB of shape (H, W, 3), is light through a smear: a dark ground would all be stain."""
    return bool(np.median(overview.max(axis=2)) >= _DARK)


def looks_like_noise(picture: NDArray[np.uint8], mpp: float, count: int) -> bool:
    """Return whether what was found in a picture is noise or a pattern rather than nuclei.

    Nuclei are dark on a lighter ground: spots of their size are skewed to the dark side, while noise, grain and printed
    dots have as many light ones, everywhere, or pixels that tell nothing of their neighbours. Where nuclei crowd, the
    light between them counts too: 17 of 2,080 windows of .01 mm2 and more, out of 160 fields of CRIC, are skewed by
    less than .3 as a whole, but each of the 2,080 has a part of .65 and more. Noise and dots of 18 kinds have no part
    above .44 in pictures of .12 mm2. Salt and pepper has, but neighbours alike by .47, not .66 and more.

    Args:
        picture: RGB, shape (H, W, 3), uint8.
        mpp: Its micrometres per pixel.
        count: How many nuclei were found there.
    """
    height, width = picture.shape[:2]
    if count <= max(_FEW, _DENSE_PER_MM2 * height * width * mpp**2 / 1e6):
        return False
    factor = mpp / _SPOT_MPP
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(picture, (max(8, round(width * factor)), max(8, round(height * factor))), interpolation=method)
    dark = 255.0 - small[..., :2].max(axis=2).astype(np.float32)
    sigma = _SPOT_UM / _SPOT_MPP / np.sqrt(2)
    spots = cv2.GaussianBlur(dark, (0, 0), 0.8 * sigma) - cv2.GaussianBlur(dark, (0, 0), 1.25 * sigma)
    rows = np.array_split(spots, _PARTS)
    most = max(_skew(part) for row in rows for part in np.array_split(row, _PARTS, axis=1))
    alike = 1 - float((np.diff(dark, axis=1) ** 2).mean()) / (2 * float(dark.var()) or 1.0)
    return (_skew(spots) < _LEAST_SKEW and most < _LEAST_PART_SKEW) or alike < _LEAST_ALIKE


def _skew(values: NDArray[np.floating]) -> float:
    spread = float(values.std())
    return float(((values - values.mean()) ** 3).mean()) / spread**3 if spread else 0.0


def uncovered(picture: NDArray[np.uint8], mpp: float, centers_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places of a picture that are stained and hold no centre: what a detector may have missed.

    The picture is cut into squares of about `GRID_UM`. One that is stained on more than a fifth and holds no centre
    gives its darkest place, unless that is nearer than half a square to a centre or to another such place.

    Args:
        picture: RGB, shape (H, W, 3), uint8.
        mpp: Its micrometres per pixel.
        centers_px: x, y of what was found, shape (N, 2), in pixels; may lie outside.

    Returns:
        x, y in pixels, shape (M, 2), row by row.
    """
    mask = foreground_mask(picture, mpp)
    height, width = mask.shape
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    dark = cv2.GaussianBlur(255.0 - small[..., :2].max(axis=2), (0, 0), _GRID_SIGMA_UM / WORK_MPP)
    scale = np.array([width / picture.shape[1], height / picture.shape[0]])
    side = GRID_UM / WORK_MPP
    taken = _Taken(centers_px * scale - 0.5, side)
    rows, columns = max(1, round(height / side)), max(1, round(width / side))
    places = []
    for row in range(rows):
        for column in range(columns):
            top, bottom = (round(height * i / rows) for i in (row, row + 1))
            left, right = (round(width * i / columns) for i in (column, column + 1))
            if mask[top:bottom, left:right].mean() <= _GRID_SHARE:
                continue
            reach = side / 2
            near = taken.inside(left - reach, top - reach, right + reach, bottom + reach)
            if any(left <= x < right and top <= y < bottom for x, y in near):
                continue
            # The middle counts a little: where all is alike it covers most.
            y, x = np.ogrid[top:bottom, left:right]
            aside = np.hypot(y - (top + bottom - 1) / 2, x - (left + right - 1) / 2)
            part = np.where(mask[top:bottom, left:right], dark[top:bottom, left:right] - _ASIDE * aside, -np.inf)
            down, across = np.unravel_index(int(part.argmax()), part.shape)
            place = (float(left + across), float(top + down))
            if all(np.hypot(place[0] - a, place[1] - b) >= reach for a, b in near):
                taken.add(place)
                places.append(place)
    return (np.asarray(places, np.float64).reshape(-1, 2) + 0.5) / scale


class _Taken:
    """Places by squares: a slide has many thousands, and each square of the grid asks for the few around it."""

    def __init__(self, places: NDArray[np.float64], side: float) -> None:
        self._side = side
        self._squares: defaultdict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
        for x, y in places.tolist():
            self.add((x, y))

    def add(self, place: tuple[float, float]) -> None:
        self._squares[self._square(*place)].append(place)

    def inside(self, left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
        (first_x, first_y), (last_x, last_y) = self._square(left, top), self._square(right, bottom)
        return [
            (x, y)
            for square in itertools.product(range(first_x, last_x + 1), range(first_y, last_y + 1))
            for x, y in self._squares.get(square, ())
            if left <= x < right and top <= y < bottom
        ]

    def _square(self, x: float, y: float) -> tuple[int, int]:
        return math.floor(x / self._side), math.floor(y / self._side)
