"""Which of several focal planes is sharp at a place: numbers from pixels, no files.

The variance of the Laplacian (Pech-Pacheco et al. 2000) picked the sharp plane of synthetic and of real stacks;
it compares planes of one place with each other and says nothing across places.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from datasets.crops import Picture

WINDOW_UM = 24.0
"""Side of what is looked at around a nucleus."""


def sharpness(picture: Picture) -> float:
    """Return the variance of the Laplacian of the brightness; 0 for an even picture.

    Args:
        picture: RGB, shape (H, W, 3), uint8.
    """
    if min(picture.shape[:2]) < 1:
        return 0.0
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def sharpest(planes: Sequence[Picture]) -> int:
    """Return the index of the sharpest of pictures of one place."""
    return int(np.argmax([sharpness(picture) for picture in planes]))


def window(plane: Picture, x: float, y: float, side_px: float) -> Picture:
    """Return the square around a place, in pixels of the picture, as far as it lies there."""
    half = max(1, round(side_px / 2))
    left, top = round(x) - half, round(y) - half
    return plane[max(top, 0) : max(top + 2 * half, 0), max(left, 0) : max(left + 2 * half, 0)]
