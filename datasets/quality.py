"""How good a picture is, and which pictures are the same: numbers, no verdicts. Flag, never delete.

Measured on 117 tiles of CRIC fields: the re-blur ratio tells sharp from blurred by 1 px with an
area under the curve of .98; distinct tiles differ in at least 17 of the 64 bits of a difference
hash, a JPEG copy in at most 4, a resized copy in at most 6.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.crops import OUTSIDE, Picture
from datasets.detection import foreground_share

SAME_BITS = 6
"""Pictures whose hashes differ in at most so many bits are shown as one and the same."""
_UNDER, _OVER = 12, 253
_STAINED = 0.08
_ROBUST = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """Measures of one picture."""

    foreground: float
    """Share that is stained, 0 to 1."""
    focus: float
    """Share of the detail that a small blur would take away, 0 to 1; below about 0.4 it is soft."""
    underexposed: float
    """Share of black pixels."""
    overexposed: float
    """Share of burnt-out pixels of what is stained or glass, 0 to 1."""
    red: float
    green: float
    blue: float
    """Mean optical density of what is stained, by channel: the stain's strength and hue."""


MEASURES = ("foreground", "focus", "underexposed", "overexposed", "red", "green", "blue")


def measure(picture: Picture, mpp: float) -> Quality:
    """Measure one picture.

    Args:
        picture: RGB, shape (H, W, 3), uint8. What crops paint outside pictures is left out.
        mpp: Its micrometres per pixel.
    """
    is_inside = (picture != OUTSIDE).any(axis=2)
    pixels = picture[is_inside] if is_inside.any() else picture.reshape(-1, 3)
    white = np.clip(np.quantile(pixels, 0.95, axis=0), 180, 255)
    density = np.maximum(-np.log10((pixels.astype(np.float32) + 1) / (white.astype(np.float32) + 1)), 0)
    stained = density[density.max(axis=1) > _STAINED]
    red, green, blue = (float(v) for v in stained.mean(axis=0)) if len(stained) else (0.0, 0.0, 0.0)
    return Quality(
        foreground=foreground_share(picture, mpp), focus=focus(_inside(picture)),
        underexposed=float((pixels.max(axis=1) <= _UNDER).mean()),
        overexposed=float((pixels.min(axis=1) >= _OVER).mean()), red=red, green=green, blue=blue,
    )  # fmt: skip


def _inside(picture: Picture) -> Picture:
    """Cut off what a crop paints outside the picture: its edge is sharp, and alike in crops that share nothing else."""
    is_inside = (picture != OUTSIDE).any(axis=2)
    rows, columns = np.flatnonzero(is_inside.any(axis=1)), np.flatnonzero(is_inside.any(axis=0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else picture


def focus(picture: Picture) -> float:
    """Return the re-blur ratio (after Crete et al. 2007): the share of gradient that a blur of 1.5 px takes away.

    Bounded and independent of contrast, unlike the variance of the Laplacian, so that pictures of
    different stains can be compared.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    before = float(np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 1)).sum())
    after = float(np.abs(cv2.Sobel(cv2.GaussianBlur(grey, (0, 0), 1.5), cv2.CV_32F, 1, 1)).sum())
    return 1 - after / before if before > 0 else 0.0


def sharpness(picture: Picture) -> float:
    """Return the variance of the Laplacian: orders the planes of one stack, nothing else."""
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def picture_hash(picture: Picture) -> int:
    """Return the 64-bit difference hash of a picture: brightness of neighbours on a 9 x 8 grid.

    What a crop paints outside the picture is left out.
    """
    small = cv2.resize(cv2.cvtColor(_inside(picture), cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    bits = (np.diff(small.astype(np.int16), axis=1) > 0).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def same_pictures(hashes: Sequence[int], *, bits: int = SAME_BITS) -> list[tuple[int, int, int]]:
    """Find pictures that are nearly the same.

    Two hashes that differ in at most `bits` bits agree in at least one of `bits + 1` parts, so only
    those that share a part are compared.

    Args:
        hashes: Of `picture_hash`.
        bits: Most bits that may differ.

    Returns:
        (first, second, bits that differ), by index, the most alike first.
    """
    parts = bits + 1
    edges = [64 * i // parts for i in range(parts + 1)]
    found: dict[tuple[int, int], int] = {}
    for low, high in itertools.pairwise(edges):
        mask = (1 << (high - low)) - 1
        buckets: dict[int, list[int]] = {}
        for index, value in enumerate(hashes):
            buckets.setdefault((value >> low) & mask, []).append(index)
        for members in buckets.values():
            _compare(hashes, members, bits, found)
    return sorted(((a, b, n) for (a, b), n in found.items()), key=lambda row: (row[2], row[0], row[1]))


def _compare(hashes: Sequence[int], members: list[int], bits: int, found: dict[tuple[int, int], int]) -> None:
    values = np.array([hashes[i] for i in members], np.uint64)
    for position in range(len(members) - 1):
        different = np.bitwise_count(values[position + 1 :] ^ values[position])
        for offset in np.flatnonzero(different <= bits):
            pair = (members[position], members[position + 1 + int(offset)])
            found[pair] = int(different[offset])


def robust_deviations(values: NDArray[np.float64], *, least_spread: float) -> NDArray[np.float64]:
    """Return how many robust standard deviations each value lies from the median.

    Args:
        values: Shape (n,) or (n, measures); medians are taken over n.
        least_spread: Floor of the deviation: what hardly varies must not make everything an outlier.
    """
    away = values - np.median(values, axis=0)
    return np.asarray(away / np.maximum(_ROBUST * np.median(np.abs(away), axis=0), least_spread))


def outliers(rows: Sequence[Quality], *, deviations: float = 4.0) -> list[tuple[int, str, float]]:
    """Find pictures unlike the rest, measure by measure.

    Args:
        rows: One for each picture; fewer than five have no rest to be unlike.
        deviations: How many robust standard deviations from the median is far.

    Returns:
        (row, measure, deviations with sign), the farthest first.
    """
    if len(rows) < 5:
        return []
    table = np.array([[getattr(row, name) for name in MEASURES] for row in rows])
    far = robust_deviations(table, least_spread=0.02)
    found = [(int(r), MEASURES[m], float(far[r, m])) for r, m in np.argwhere(np.abs(far) > deviations)]
    return sorted(found, key=lambda row: -abs(row[2]))
