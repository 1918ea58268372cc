"""A slide's pixels, wherever they lie: a field's own copy, or a scan behind the sandbox.

Coordinates are level-0 pixels. What lies outside a slide is painted in `crops.OUTSIDE`.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from datasets import catalog, originals
from datasets.catalog import Slide
from datasets.crops import OUTSIDE, Picture, cut_crop, read_own_png
from datasets.db import Database
from datasets.errors import UnreadableFile
from datasets.focus import WINDOW_UM, sharpest
from datasets.readers.base import SlideInfo

_KEPT_PLANES = 4


class RegionSource(Protocol):
    """What reads regions at arm's length: one `sandbox.Decoder`, or a pool of them."""

    def read_region(
        self, paths: Sequence[Path], x: int, y: int, width: int, height: int, *, level: int = 0, z_um: float = 0.0
    ) -> Picture:
        """Read a region; see `Decoder.read_region`."""

    def read_overview(self, paths: Sequence[Path]) -> Picture:
        """Return a small picture of the whole; see `Decoder.read_overview`."""


class SlidePicture(Protocol):
    """Pixels of one slide."""

    width_px: int
    height_px: int
    planes_um: tuple[float, ...]
    """Its focal planes."""

    def read(
        self, x: int, y: int, width: int, height: int, *, mpp: float | None = None, z_um: float = 0.0
    ) -> tuple[Picture, float]:
        """Read a rectangle.

        Args:
            x: Left edge in level-0 pixels; may lie outside.
            y: Top edge in level-0 pixels.
            width: In level-0 pixels.
            height: In level-0 pixels.
            mpp: Coarsest scale that is good enough in um/px; None: level 0.
            z_um: Focal plane; the nearest one is taken.

        Returns:
            RGB, shape (H, W, 3), uint8, and how many level-0 pixels one of its pixels is.

        Raises:
            UnreadableFile: This part is damaged.
        """

    def overview(self) -> Picture:
        """Return a small picture of the whole, or of the middle of what has no small level."""


class FieldPicture:
    """A field: one array in memory."""

    planes_um: tuple[float, ...] = (0.0,)

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.height_px, self.width_px = picture.shape[:2]

    def read(
        self, x: int, y: int, width: int, height: int, *, mpp: float | None = None, z_um: float = 0.0
    ) -> tuple[Picture, float]:
        """Read a rectangle; see `SlidePicture`."""
        del mpp, z_um
        inside = self._picture[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if inside.shape[:2] == (height, width):
            return inside, 1.0
        region = np.full((height, width, 3), OUTSIDE, np.uint8)
        row, column = max(-y, 0), max(-x, 0)
        region[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
        return region, 1.0

    def overview(self) -> Picture:
        """Return the field itself."""
        return self._picture


class StackPicture(FieldPicture):
    """A field at several focal planes: our own copies, of which the last ones looked at stay in memory.

    Args:
        paths: One for each plane.
        planes_um: Their places.
    """

    def __init__(self, paths: Sequence[Path], planes_um: Sequence[float]) -> None:
        self.planes_um = tuple(planes_um)
        self._planes = lru_cache(maxsize=_KEPT_PLANES)(lambda number: FieldPicture(read_own_png(paths[number])))
        super().__init__(self._planes(self._nearest(0.0)).overview())

    def _nearest(self, z_um: float) -> int:
        return min(range(len(self.planes_um)), key=lambda number: abs(self.planes_um[number] - z_um))

    def read(
        self, x: int, y: int, width: int, height: int, *, mpp: float | None = None, z_um: float = 0.0
    ) -> tuple[Picture, float]:
        """Read a rectangle; see `SlidePicture`."""
        return self._planes(self._nearest(z_um)).read(x, y, width, height, mpp=mpp)


class ScanPicture:
    """A scan: regions come from the sandbox, from the level that is just fine enough."""

    def __init__(self, decoder: RegionSource, paths: Sequence[Path], info: SlideInfo, mpp: float) -> None:
        self._decoder, self._paths, self._info, self._mpp = decoder, list(paths), info, mpp
        self.width_px, self.height_px = info.size
        self.planes_um = info.z_um

    def read(
        self, x: int, y: int, width: int, height: int, *, mpp: float | None = None, z_um: float = 0.0
    ) -> tuple[Picture, float]:
        """Read a rectangle; see `SlidePicture`."""
        level = 0 if mpp is None else self._info.level_for(mpp, self._mpp)
        down = self._info.levels[level].downsample
        size = max(1, round(width / down)), max(1, round(height / down))
        return self._decoder.read_region(self._paths, x, y, *size, level=level, z_um=z_um), down

    def overview(self) -> Picture:
        """Return the small picture by which the whole is judged."""
        return self._decoder.read_overview(self._paths)


def open_picture(database: Database, home: Path, slide: Slide, decoder: RegionSource) -> SlidePicture:
    """Open the pixels of a field or scan of the catalogue.

    Raises:
        UnreadableFile: A scan's files are gone, or its scale is unknown.
    """
    info = catalog.scan_info(database, slide.id)
    if slide.kind == "field" and info is not None:
        planes_um = SlideInfo.from_json(info).z_um
        return StackPicture([catalog.plane_path(home, slide.id, n) for n in range(len(planes_um))], planes_um)
    if slide.kind == "field":
        return FieldPicture(read_own_png(catalog.field_path(home, slide.id)))
    if info is None or slide.mpp is None:
        raise UnreadableFile(f"slide {slide.id}: single-cell pictures have no whole picture")
    return ScanPicture(decoder, originals.files_of(home, slide.id), SlideInfo.from_json(info), slide.mpp)


def best_plane(picture: SlidePicture, x: float, y: float, *, mpp: float | None) -> float:
    """Return the focal plane that is sharpest around a place.

    Args:
        picture: The slide's pixels.
        x: In level-0 pixels.
        y: In level-0 pixels.
        mpp: The slide's scale; None: unknown, 0.25 is taken for the size of the window.
    """
    if len(picture.planes_um) == 1:
        return picture.planes_um[0]
    side = round(WINDOW_UM / (mpp or 0.25))
    left, top = round(x - side / 2), round(y - side / 2)
    return picture.planes_um[sharpest([picture.read(left, top, side, side, z_um=z)[0] for z in picture.planes_um])]


def crop_at(
    picture: SlidePicture, x: float, y: float, *, mpp: float, side_um: float, side_px: int, z_um: float = 0.0
) -> Picture:
    """Cut one cell's crop out of a slide.

    Args:
        picture: The slide's pixels.
        x: Centre in level-0 pixels.
        y: Centre in level-0 pixels.
        mpp: The slide's scale.
        side_um: Side of the crop in micrometres.
        side_px: Side of the crop in pixels.
        z_um: Focal plane.

    Returns:
        RGB, shape (side_px, side_px, 3), uint8.
    """
    span = round(side_um / mpp) + 4
    left, top = round(x - span / 2), round(y - span / 2)
    region, down = picture.read(left, top, span, span, mpp=side_um / side_px, z_um=z_um)
    return cut_crop(region, (x - left) / down, (y - top) / down, mpp=mpp * down, side_um=side_um, side_px=side_px)
