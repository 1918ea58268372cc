"""A slide's pixels, wherever they lie: a field's own copy, or a scan behind the sandbox.

Coordinates are level-0 pixels. What lies outside a slide is painted in `crops.OUTSIDE`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
_CROPS_AT_ONCE = 64
"""Cells whose regions are held in memory together."""
_MOST_DAMAGED = 8
"""Points of a slide that are left out because they cannot be read: each may take a minute to find that out."""


class RegionSource(Protocol):
    """What reads regions at arm's length: one `sandbox.Decoder`, or a pool of them."""

    def read_regions(
        self, paths: Sequence[Path], places: Sequence[tuple[int, int, float]], width: int, height: int, *,
        level: int = 0,
    ) -> Iterable[Picture]:  # fmt: skip
        """Read regions of one size; see `Decoder.read_regions`."""

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
        (pixels,), down = self.read_many([(x, y, z_um)], width, height, mpp=mpp)
        return pixels, down

    def read_many(
        self, places: Sequence[tuple[int, int, float]], width: int, height: int, *, mpp: float | None = None
    ) -> tuple[list[Picture], float]:
        """Read rectangles of one size.

        Args:
            places: Left and top edge in level-0 pixels, and focal plane in um, of each.
            width: In level-0 pixels.
            height: In level-0 pixels.
            mpp: Coarsest scale that is good enough in um/px; None: level 0.

        Returns:
            RGB, shape (H, W, 3), uint8, for each place, and how many level-0 pixels one of their pixels is.

        Raises:
            UnreadableFile: One of these parts is damaged.
        """
        level = 0 if mpp is None else self._info.level_for(mpp, self._mpp)
        down = self._info.levels[level].downsample
        size = max(1, round(width / down)), max(1, round(height / down))
        return list(self._decoder.read_regions(self._paths, places, *size, level=level)), down

    def crops_at(
        self, points: Sequence[tuple[float, float]], *, mpp: float, side_um: float, side_px: int
    ) -> Iterator[tuple[Picture, float] | UnreadableFile]:
        """Cut the crops of many cells, each out of the focal plane that is sharpest there.

        Args:
            points: Their centres in level-0 pixels.
            mpp: The slide's scale.
            side_um: Side of a crop in micrometres.
            side_px: Side of a crop in pixels.

        Yields:
            RGB, shape (side_px, side_px, 3), uint8, and the plane in um, in the points' order; where the file is
            damaged, the error.

        Raises:
            UnreadableFile: More than `_MOST_DAMAGED` points are.
        """
        cut = _Cut(mpp=mpp, side_um=side_um, side_px=side_px)
        damaged = 0
        for start in range(0, len(points), _CROPS_AT_ONCE):
            some = points[start : start + _CROPS_AT_ONCE]
            try:
                yield from self._crops(some, cut)
            except UnreadableFile:
                # Alone, each has a question and its time limit to itself.
                for point in some:
                    try:
                        yield self._crops([point], cut)[0]
                    except UnreadableFile as error:
                        damaged += 1
                        if damaged > _MOST_DAMAGED:
                            raise
                        yield error

    def _crops(self, points: Sequence[tuple[float, float]], cut: "_Cut") -> list[tuple[Picture, float]]:
        planes, side = len(self.planes_um), round(WINDOW_UM / cut.mpp)
        best = [self.planes_um[0]] * len(points)
        if planes > 1:
            corners = [(round(x - side / 2), round(y - side / 2)) for x, y in points]
            windows, _ = self.read_many([(*at, z) for at in corners for z in self.planes_um], side, side)
            stacks = (windows[n : n + planes] for n in range(0, len(windows), planes))
            best = [self.planes_um[sharpest(stack)] for stack in stacks]
        places = [(*cut.corner(x, y), z) for (x, y), z in zip(points, best, strict=True)]
        regions, down = self.read_many(places, cut.span, cut.span, mpp=cut.side_um / cut.side_px)
        return [
            (cut.out_of(region, x, y, down), z)
            for (x, y), z, region in zip(points, best, regions, strict=True)
        ]  # fmt: skip

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
    cut = _Cut(mpp=mpp, side_um=side_um, side_px=side_px)
    region, down = picture.read(*cut.corner(x, y), cut.span, cut.span, mpp=side_um / side_px, z_um=z_um)
    return cut.out_of(region, x, y, down)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cut:
    """How a crop is cut out of a region that is read for it: a little larger, at the scale of a level."""

    mpp: float
    side_um: float
    side_px: int

    @property
    def span(self) -> int:
        """Side of the region in level-0 pixels."""
        return round(self.side_um / self.mpp) + 4

    def corner(self, x: float, y: float) -> tuple[int, int]:
        return round(x - self.span / 2), round(y - self.span / 2)

    def out_of(self, region: Picture, x: float, y: float, down: float) -> Picture:
        left, top = self.corner(x, y)
        return cut_crop(region, (x - left) / down, (y - top) / down, mpp=self.mpp * down,
                        side_um=self.side_um, side_px=self.side_px)  # fmt: skip
