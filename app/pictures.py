"""Pictures that are made on demand: the wider field around a cell, and a sprite atlas of crops."""

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from app.services import Services
from app.tiles import TILE_PX, TileCache, TileGrid, cut_tile
from datasets import catalog, places
from datasets.catalog import Slide
from datasets.crops import OUTSIDE, Picture, cut_crop, encode_png, read_own_png, resize_square, shrink
from datasets.decoders import DecoderPool
from datasets.errors import UnreadableFile
from datasets.pictures import SlidePicture, crop_at, open_picture
from datasets.places import Place
from datasets.readers.base import SlideInfo

WIDE_FACTOR = 4
"""The wider field shows this many times a crop's side."""
WIDE_PX = 768
ATLAS_COLUMNS = 16
MOST_TILES = 200
TILE_SIDES_PX = (128, 192)
SMALL_PX = 320
"""Longest side of a slide's small picture."""
_WIDE_QUALITY, _ATLAS_QUALITY, _TILE_QUALITY = 90, 92, 88
_KEPT_SLIDES = 6
_MOST_DECODERS = 4
_FIRST_VIEW_PX = 2048
"""Longest side of the finest level that a whole slide is first shown with."""
_MOST_AHEAD = 6
"""Tiles along a side that are cut before anybody asks: a slide without small levels has many."""


class Pictures:
    """Cuts and joins the pictures of a study; every cell is looked up in the catalogue first.

    Args:
        services: The open workspace.
    """

    def __init__(self, services: Services) -> None:
        self._database, self._home = services.database, services.home
        self._crop_um, self._crop_px = services.settings.crop_um, services.settings.crop_px
        self._opened = lru_cache(maxsize=_KEPT_SLIDES)(self._open)
        self._decoders = DecoderPool(max(2, min(_MOST_DECODERS, os.cpu_count() or 1)))
        self._tiles = TileCache()

    def warm(self) -> None:
        """Start the sandbox's children and cut the first views of the first slide and of the first scan.

        Whoever opens the slide view first then waits for neither.
        """
        with suppress(UnreadableFile, FileNotFoundError):  # the first question then does it, or tells why not
            self._decoders.warm()
            slides = catalog.slides_with_pictures(self._database)
            for slide in [*slides[:1], *[s for s in slides[1:] if s.kind == "slide"][:1]]:
                self._cut_first_view(slide)

    def _cut_first_view(self, slide: Slide) -> None:
        grid = tile_grid(slide, scan_facts(catalog.scan_info(self._database, slide.id)))
        for level in range(grid.coarsest, grid.finest + 1):
            width, height = grid.size(level)
            if max(width, height) > _FIRST_VIEW_PX and level > grid.coarsest:
                return
            for row in range(min(_MOST_AHEAD, -(-height // TILE_PX))):
                for column in range(min(_MOST_AHEAD, -(-width // TILE_PX))):
                    self.tile(slide.id, level, column, row)

    def close(self) -> None:
        """End the sandbox's children."""
        self._decoders.close()

    def tile(self, slide_id: str, level: int, column: int, row: int, *, z_um: float = 0.0) -> bytes | None:
        """Return a tile as JPEG, None where there is no such tile.

        Args:
            slide_id: A field or scan.
            level: Of the picture pyramid, `TileGrid.finest` is full size.
            column: From the left, from 0.
            row: From the top, from 0.
            z_um: Focal plane in micrometres.

        Raises:
            UnreadableFile: This part is damaged, or the scan's files are gone.
        """
        slide = catalog.slide(self._database, slide_id)
        if slide is None or slide.sha256 is None:
            return None
        key = (slide.sha256, z_um, level, column, row)
        content = self._tiles.get(key)
        if content is None:
            grid = tile_grid(slide, scan_facts(catalog.scan_info(self._database, slide_id)))
            pixels = cut_tile(self._opened(slide_id), grid, level, column, row, mpp=slide.mpp, z_um=z_um)
            if pixels is None:
                return None
            content = encode_jpeg(pixels, _TILE_QUALITY)
            self._tiles.put(key, content)
        return content

    def small(self, slide_id: str) -> bytes | None:
        """Return the small picture of a field or scan as JPEG, None where there is no such slide.

        Raises:
            UnreadableFile: It is damaged, or the scan's files are gone.
        """
        slide = catalog.slide(self._database, slide_id)
        if slide is None or slide.sha256 is None:
            return None
        content = self._tiles.get((slide.sha256, "small"))
        if content is None:
            content = encode_jpeg(shrink(self._opened(slide_id).overview(), SMALL_PX), _TILE_QUALITY)
            self._tiles.put((slide.sha256, "small"), content)
        return content

    def wide(self, cell_id: str) -> bytes | None:
        """Return the wider field around a cell as JPEG, None where no slide of it can be read.

        The side is `WIDE_FACTOR` times the crop's; the cell is in the centre.
        """
        place = places.place_of_cell(self._database, cell_id)
        if place is None:
            return None
        try:
            picture = self._wide(place)
        except (UnreadableFile, FileNotFoundError):
            return None
        return encode_jpeg(picture, _WIDE_QUALITY)

    def _wide(self, place: Place) -> Picture:
        picture, side_um = self._opened(place.slide_id), WIDE_FACTOR * self._crop_um
        if place.mpp is not None:
            side_px = min(WIDE_FACTOR * self._crop_px, WIDE_PX)
            return crop_at(picture, place.x, place.y, mpp=place.mpp, side_um=side_um, side_px=side_px)
        # Without a scale a crop is so many source pixels, and its wider field so many times as many.
        whole = cut_crop(picture.overview(), place.x, place.y, mpp=None, side_um=side_um,
                         side_px=WIDE_FACTOR * self._crop_px)  # fmt: skip
        return resize_square(whole, min(whole.shape[0], WIDE_PX))

    def _open(self, slide_id: str) -> SlidePicture:
        slide = catalog.slide(self._database, slide_id)
        if slide is None:
            raise UnreadableFile(f"slide {slide_id}: not in the catalogue")
        return open_picture(self._database, self._home, slide, self._decoders)

    def plane(self, cell_id: str, z_um: float) -> bytes | None:
        """Return a cell's crop on another focal plane as PNG, None where its slide has none or cannot be read."""
        place = places.place_of_cell(self._database, cell_id)
        slide = None if place is None else catalog.slide(self._database, place.slide_id)
        if place is None or slide is None:
            return None
        try:
            return encode_png(self.crop(slide, place.x, place.y, z_um=z_um))
        except (UnreadableFile, FileNotFoundError):
            return None

    def crop(self, slide: Slide, x: float, y: float, *, z_um: float = 0.0) -> Picture:
        """Cut a cell's crop at the study's scale, as `ingest` does.

        Args:
            slide: A field or scan.
            x: Centre in level-0 pixels.
            y: Centre in level-0 pixels.
            z_um: Focal plane.

        Raises:
            UnreadableFile: This part is damaged, or the scan's files are gone.
        """
        picture, side_px = self._opened(slide.id), self._crop_px
        if slide.mpp is not None:
            return crop_at(picture, x, y, mpp=slide.mpp, side_um=self._crop_um, side_px=side_px, z_um=z_um)
        left, top = round(x) - side_px, round(y) - side_px
        region, _ = picture.read(left, top, 2 * side_px, 2 * side_px, z_um=z_um)
        return cut_crop(region, x - left, y - top, mpp=None, side_um=self._crop_um, side_px=side_px)

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


def scan_facts(info: Mapping[str, Any] | None) -> SlideInfo | None:
    """Return a scan's technical facts as `catalog.scan_info` tells them; None for a field."""
    return None if info is None else SlideInfo.from_json(info)


def tile_grid(slide: Slide, info: SlideInfo | None) -> TileGrid:
    """Return which tiles a field or scan has."""
    coarsest = max(level.downsample for level in info.levels) if info else 1.0
    return TileGrid(width_px=slide.width_px or 1, height_px=slide.height_px or 1, coarsest_downsample=coarsest)


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
