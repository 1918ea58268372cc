"""Where there is something to see: empty glass is left out of the tiles."""

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.crops import OUTSIDE

WORK_MPP = 2.0
"""Scale at which foreground is judged."""
_DENSITY, _CHROMA, _SHARE = 0.08, 40, 0.05


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
    """Return whether more than a twentieth of a tile is stained."""
    return foreground_share(tile, mpp) > _SHARE
