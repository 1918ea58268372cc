"""Tiled TIFF slides that OpenSlide does not read as what they are, through tifffile.

OME-TIFF (scale in its description, coarser levels in SubIFDs, focal planes as pages), classic big-endian TIFF, tiles of
JPEG 2000, WebP or JPEG XL. Of several pages of one size OpenSlide shows the first and says nothing.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import tifffile

from datasets.crops import Picture
from datasets.errors import WAY_OUT, UnreadableFile
from datasets.notices import OTHER_SCENES, UNKNOWN_STEP
from datasets.readers.base import MAX_SLIDE_PIXELS, Level, SlideInfo, doubts_of, inner_box, paste, scale_of
from datasets.readers.tiles import TiledLevels, is_readable, kind_of, open_tiff
from datasets.told import told

_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_COMMON = frozenset({1, 5, 7, 8, 32773, 32946, 50000})
"""Compressions that OpenSlide reads too: none, LZW, JPEG, Deflate, PackBits, Zstandard."""
_NEWER = frozenset({34712, 50001, 50002})
"""Those that it does not: JPEG 2000, WebP, JPEG XL."""
_PER_UM = {2: 25_400.0, 3: 10_000.0}
"""Micrometres in the units of TIFF's resolution: inch and centimetre."""
_UM = {"nm": 1e-3, "\u00b5m": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
_SCENE = 3
"""A second picture of a third of the first one's area is a scene: levels are a quarter or less."""
_SEVERAL = {"C": "colours apart", "T": "moments"}


def is_own(path: Path) -> bool:
    """Return whether a file is a tiled TIFF that OpenSlide cannot read, or would read in part."""
    with path.open("rb") as stream:
        if stream.read(4) not in _MARKS:
            return False
    vendor = openslide.OpenSlide.detect_format(path)
    if vendor not in (None, "generic-tiff"):
        return False
    try:
        with open_tiff(path) as tif:
            series = _main_series(tif)
            page = series.keyframe
            if not page.is_tiled:
                return False
            is_several = bool(_several(series))
            is_needed = (vendor is None or is_several or tif.is_ome or bool(page.subifds) or _scenes(tif) > 1
                         or page.compression in _NEWER)  # fmt: skip
            return is_needed and (is_several or (is_readable(page) and page.compression in _COMMON | _NEWER))
    except Exception:  # noqa: BLE001  decoders raise types that nobody can list; the other readers say what is wrong
        return False


class TiffReader:
    """A tiled TIFF by its pages.

    Args:
        path: A regular file of which `is_own` says so.

    Raises:
        UnreadableFile: It holds several pictures that are no focal planes, or pixels of another kind.
    """

    def __init__(self, path: Path) -> None:
        self._tif = open_tiff(path)
        try:
            series = _main_series(self._tif)
            self._planes = _plane_count(series)
            pages = _pages(series, self._planes)
            self._tiles = TiledLevels(self._tif, pages)
            self._info = _info(self._tif, series, self._planes)
        except BaseException:
            self._tif.close()
            raise

    @property
    def info(self) -> SlideInfo:
        """Its technical facts."""
        return self._info

    def read_region(self, x: int, y: int, width: int, height: int, *, level: int, z_um: float = 0.0) -> Picture:
        """Read pixels; see `SlideReader`.

        Raises:
            UnreadableFile: A tile is missing or damaged.
        """
        place = self._info.levels[level]
        box = inner_box(place, x, y, width, height)
        if not box[2] or not box[3]:
            return paste(place, x, y, width, height, np.empty((0, 0, 3), np.uint8))
        plane = min(range(self._planes), key=lambda n: abs(self._info.z_um[n] - z_um))
        try:
            inside = self._tiles.read(*box, level=level * self._planes + plane)
        except UnreadableFile as error:
            raise UnreadableFile(f"damaged: {error.reason}; {WAY_OUT}") from error
        return paste(place, x, y, width, height, inside)

    def close(self) -> None:
        """Close the file."""
        self._tif.close()


def _area(series: tifffile.TiffPageSeries) -> int:
    return series.keyframe.imagewidth * series.keyframe.imagelength


def _main_series(tif: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the largest picture: others are labels, overviews or further scenes."""
    return max(tif.series, key=_area)


def _scenes(tif: tifffile.TiffFile) -> int:
    """Return how many pictures are too large to be the label or a level of the largest one."""
    return sum(_SCENE * _area(series) >= _area(_main_series(tif)) for series in tif.series)


def _several(series: tifffile.TiffPageSeries) -> dict[str, int]:
    """Return how many pictures of one size there are, by the letter of the axis that tells them apart."""
    sides = zip(series.axes, series.shape, strict=True)
    return {axis: count for axis, count in sides if axis not in "YXS" and count > 1}


def _plane_count(series: tifffile.TiffPageSeries) -> int:
    several = _several(series)
    if several.keys() <= {"Z"}:
        return several.get("Z", 1)
    kinds = " and ".join(_SEVERAL.get(axis, "pages") for axis in several)
    raise UnreadableFile(
        f"holds {math.prod(several.values())} pictures of one size ({kinds}), of which only the first would be read; "
        "save it as RGB, each picture in a file of its own"
    )


def _pages(series: tifffile.TiffPageSeries, planes: int) -> list[tifffile.TiffPage | tifffile.TiffFrame]:
    """Return the pages of all levels, of each the planes.

    Raises:
        UnreadableFile: They lie in other files, or hold pixels of another kind.
    """
    found = [page for level in series.levels for page in level.pages]
    pages = [page for page in found if page is not None]
    if len(pages) < len(found):
        raise UnreadableFile("some of its pictures lie in other files; save all in one, or leave it out")
    if len(pages) != planes * len(series.levels) or not all(is_readable(kind_of(page)) for page in pages):
        raise UnreadableFile(f"its pixels are not 8-bit grey or RGB; {WAY_OUT}")
    return pages


def _info(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, planes: int) -> SlideInfo:
    pages = [level.keyframe for level in series.levels]
    width, height = pages[0].imagewidth, pages[0].imagelength
    if width * height > MAX_SLIDE_PIXELS:
        raise UnreadableFile(f"claims {width} x {height} pixels, more than any scanner makes")
    *sides, step = _ome_scale(tif) if tif.is_ome else (*_page_scale(pages[0]), None)
    mpp, notes = scale_of(*sides)
    # The second place of an OME-TIFF is the resolution that TIFF has for itself.
    notes += doubts_of(mpp, text=pages[0].description, other_um=_page_scale(pages[0])[0] if tif.is_ome else None)
    if planes > 1 and step is None:
        notes = (*notes, UNKNOWN_STEP)
    if _scenes(tif) > 1:
        notes = (*notes, told(OTHER_SCENES, n=_scenes(tif)))
    return SlideInfo(
        format="ome-tiff" if tif.is_ome else "generic-tiff", mpp=mpp, notes=notes,
        levels=tuple(Level(width_px=page.imagewidth, height_px=page.imagelength,
                           downsample=(width / page.imagewidth + height / page.imagelength) / 2) for page in pages),
        z_um=tuple(round((n - planes // 2) * (step or 1.0), 3) for n in range(planes)),
        removed=tuple(sorted({"description"} if 270 in pages[0].tags else set())
                      + ["other pictures"] * (len(tif.series) > 1)),
    )  # fmt: skip


def _page_scale(page: tifffile.TiffPage) -> tuple[float | None, float | None]:
    """Return the sides of a pixel in um by the resolution that TIFF 6.0 tells, None without one."""

    def side(code: int) -> float | None:
        unit, (count, parts) = page.tags.valueof(296, 2), page.tags.valueof(code, (0, 1))
        return _PER_UM[unit] * parts / count if unit in _PER_UM and count else None

    return side(282), side(283)


def _ome_scale(tif: tifffile.TiffFile) -> tuple[float | None, float | None, float | None]:
    """Return the sides of a pixel and the distance of planes in um by the OME-XML, None for what it does not tell."""
    image: Any = tifffile.xml2dict(tif.ome_metadata or "")["OME"]["Image"]
    pixels = (image[0] if isinstance(image, list) else image)["Pixels"]

    def length(axis: str) -> float | None:
        size, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "\u00b5m")
        return float(size) * _UM[unit] if size and unit in _UM else None

    return length("X"), length("Y"), length("Z")
