"""Pictures that are made on demand: the wider field around a cell, and a sprite atlas of crops."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from app.services import Services
from datasets import catalog
from datasets.crops import OUTSIDE, Picture, cut_crop, read_own_png, resize_square

WIDE_FACTOR = 4
"""The wider field shows this many times a crop's side."""
WIDE_PX = 768
ATLAS_COLUMNS = 16
MOST_TILES = 200
TILE_SIDES_PX = (128, 192)
_WIDE_QUALITY, _ATLAS_QUALITY = 90, 92
_KEPT_FIELDS = 6


class Pictures:
    """Cuts and joins the pictures of a study; every cell is looked up in the catalogue first.

    Args:
        services: The open workspace.
    """

    def __init__(self, services: Services) -> None:
        self._database, self._home = services.database, services.home
        self._crop_um, self._crop_px = services.settings.crop_um, services.settings.crop_px
        self._field = lru_cache(maxsize=_KEPT_FIELDS)(read_own_png)

    def wide(self, cell_id: str) -> bytes | None:
        """Return the wider field around a cell as JPEG, None where no field is kept.

        The side is `WIDE_FACTOR` times the crop's; the cell is in the centre.
        """
        found = catalog.place_of_cell(self._database, cell_id)
        path = catalog.field_path(self._home, found.slide_id) if found else None
        if found is None or path is None or not path.exists():
            return None
        side_px = WIDE_FACTOR * self._crop_px
        picture = cut_crop(self._field(path), found.x, found.y, mpp=found.mpp,
                           side_um=WIDE_FACTOR * self._crop_um, side_px=side_px)  # fmt: skip
        return encode_jpeg(resize_square(picture, min(side_px, WIDE_PX)), _WIDE_QUALITY)

    def atlas(self, cell_ids: list[str], side_px: int) -> bytes:
        """Return crops side by side as one JPEG: `ATLAS_COLUMNS` in a row, in the given order.

        All have the same scale, because all crops of a study have. A cell that is not in the
        catalogue leaves its place empty.

        Args:
            cell_ids: 1 to `MOST_TILES` cells.
            side_px: Side of a tile in pixels.
        """
        known = catalog.crop_scales(self._database, cell_ids)
        rows = -(-len(cell_ids) // ATLAS_COLUMNS)
        columns = min(len(cell_ids), ATLAS_COLUMNS)
        sheet = np.full((rows * side_px, columns * side_px, 3), OUTSIDE, np.uint8)
        for place, cell_id in enumerate(cell_ids):
            path = catalog.crop_path(self._home, cell_id)
            if cell_id not in known or not path.exists():
                continue
            top, left = (place // ATLAS_COLUMNS) * side_px, (place % ATLAS_COLUMNS) * side_px
            sheet[top : top + side_px, left : left + side_px] = _tile(path, side_px)
        return encode_jpeg(sheet, _ATLAS_QUALITY)


def _tile(path: Path, side_px: int) -> Picture:
    return resize_square(read_own_png(path), side_px)


def encode_jpeg(picture: Picture, quality: int) -> bytes:
    """Encode RGB pixels as JPEG without metadata and without colour subsampling."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    is_encoded, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    assert is_encoded
    return data.tobytes()
