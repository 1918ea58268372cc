"""Does a picture hold printed words or a bar code? A hint for a person, no gate: recognition misses handwriting.

Letters are dark and colourless, or light on a dark stripe, of like height, and stand in a row; so do bars. Nuclei are
coloured and stand anywhere. Looks at pixels, reads nothing.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.crops import Picture, shrink

_LONGEST_PX = 2048
_DARK, _LIGHT, _GREY = 90, 235, 28
_HEIGHTS_PX = (6, 160)
_MOST_WIDTH = 2.5
"""Of a letter, in heights."""
_LEAST_FILL, _MOST_FILL = 0.12, 0.95
_ROW_LETTERS, _ROW_BARS = 6, 12
_GAP = 2.0
"""Largest distance of neighbours in a row, in heights."""


def burned_in_words(picture: Picture) -> bool:
    """Return whether something in a picture looks like a line of print or like a bar code.

    Args:
        picture: RGB, shape (H, W, 3), uint8.
    """
    small = shrink(picture, _LONGEST_PX)
    most, least = small.max(axis=2), small.min(axis=2)
    is_grey = (most - least) <= _GREY
    around = cv2.blur(most, (63, 63))
    dark = is_grey & (most < _DARK) & (around > _DARK)
    light = is_grey & (least > _LIGHT) & (around < 150)
    return any(_has_row(mask) for mask in (dark, light))


def _has_row(mask: NDArray[np.bool_]) -> bool:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < _ROW_LETTERS:
        return False
    left, top, width, height, area = stats[1:].astype(np.int64).T
    fill = area / np.maximum(width * height, 1)
    is_size = (height >= _HEIGHTS_PX[0]) & (height <= _HEIGHTS_PX[1])
    is_letter = is_size & (width <= _MOST_WIDTH * height) & (fill >= _LEAST_FILL) & (fill <= _MOST_FILL)
    is_bar = is_size & (height >= 4 * width) & (fill > 0.7)
    boxes = np.column_stack([left, top, width, height])
    return _longest_row(boxes[is_letter]) >= _ROW_LETTERS or _longest_row(boxes[is_bar]) >= _ROW_BARS


def _longest_row(boxes: NDArray[np.int64]) -> int:
    """Return how many boxes of like height follow each other in the best row."""
    boxes = boxes[np.argsort(boxes[:, 0], kind="stable")]
    longest = 0
    length = np.ones(len(boxes), np.int64)
    for index in range(1, len(boxes)):
        left, top, _, height = boxes[index]
        before = boxes[max(0, index - 40) : index]
        offset = max(0, index - 40)
        gap = left - (before[:, 0] + before[:, 2])
        is_like = np.minimum(before[:, 3], height) >= 0.6 * np.maximum(before[:, 3], height)
        is_level = np.abs(before[:, 1] + before[:, 3] - top - height) <= 0.25 * height
        near = np.flatnonzero(is_like & is_level & (gap <= _GAP * height) & (gap > -0.3 * height))
        if len(near):
            length[index] = length[offset + near].max() + 1
            longest = max(longest, int(length[index]))
    return longest
