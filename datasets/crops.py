"""A cell's picture at a fixed physical scale: nuclear size is a criterion and must be comparable.

Where the scan's scale is unknown the crop has a fixed number of source pixels, and everything that
shows it says so.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.geometry import um_to_px

Picture = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""

OUTSIDE = (232, 232, 234)
"""Painted where a crop reaches beyond its picture: one neutral grey for all, so that it is seen as
"nothing here" and carries no stain into the encoder."""


def cut_crop(picture: Picture, x: float, y: float, *, mpp: float | None, side_um: float, side_px: int) -> Picture:
    """Cut a square around a point and bring it to the study's scale.

    What lies outside the picture is painted in `OUTSIDE`.

    Args:
        picture: RGB, shape (H, W, 3), uint8.
        x: Centre in pixels from the left edge.
        y: Centre in pixels from the top edge.
        mpp: Micrometres per pixel of the picture; None: `side_px` source pixels, not resampled.
        side_um: Side of the square in micrometres.
        side_px: Side of the result in pixels.

    Returns:
        RGB, shape (side_px, side_px, 3), uint8.
    """
    span = side_px if mpp is None else max(1, round(um_to_px(side_um, mpp)))
    left, top = round(x - span / 2), round(y - span / 2)
    inside = picture[max(top, 0) : max(top + span, 0), max(left, 0) : max(left + span, 0)]
    square = np.full((span, span, 3), OUTSIDE, np.uint8)
    row, column = max(-top, 0), max(-left, 0)
    square[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return resize_square(square, side_px)


def resize_square(picture: Picture, side_px: int) -> Picture:
    """Resample a square picture: area averaging when shrinking, cubic when enlarging."""
    side = picture.shape[0]
    if side == side_px:
        return picture
    method = cv2.INTER_AREA if side > side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=method), np.uint8)


def resize_to(picture: Picture, width_px: int, height_px: int) -> Picture:
    """Resample a picture to a size: area averaging when shrinking, linear when enlarging."""
    height, width = picture.shape[:2]
    if (width, height) == (width_px, height_px):
        return picture
    method = cv2.INTER_AREA if width >= width_px and height >= height_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width_px, height_px), interpolation=method), np.uint8)


def shrink(picture: Picture, longest_px: int) -> Picture:
    """Return a picture whose longer side is at most `longest_px`."""
    factor = longest_px / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def encode_png(picture: Picture) -> bytes:
    """Encode RGB pixels as PNG: lossless, no metadata."""
    is_encoded, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert is_encoded
    return data.tobytes()


def read_own_png(path: Path) -> Picture:
    """Read a PNG that `encode_png` made; files from outside go through `sandbox`.

    Returns:
        RGB, shape (H, W, 3), uint8.
    """
    with Image.open(io.BytesIO(path.read_bytes()), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"), np.uint8)
