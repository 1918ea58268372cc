"""Slide files for tests: a drawn field as a pyramidal TIFF and as what a scanner would add to it."""

from pathlib import Path

import cv2
import numpy as np
import tifffile


def write_pyramid(path: Path, picture: np.ndarray, *, mpp: float | None, levels: int = 2, **options: object) -> None:
    """Write a tiled, JPEG-compressed pyramid; further options go to the first page."""
    scale = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tif:
        for level in range(levels):
            size = (picture.shape[1] >> level, picture.shape[0] >> level)
            pixels = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if level else picture
            tif.write(pixels, tile=(256, 256), compression="jpeg", compressionargs={"level": 92}, photometric="rgb",
                      subfiletype=1 if level else 0, metadata=None, **(scale if level == 0 else {}),
                      **(options if level == 0 else {}))  # fmt: skip
