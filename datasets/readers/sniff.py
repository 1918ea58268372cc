"""Which reader fits, decided by the bytes: a suffix is a habit, not a fact."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide

from datasets.crops import OUTSIDE, Picture
from datasets.errors import UnreadableFile
from datasets.extensions import Registry
from datasets.files import is_dicom
from datasets.notices import DARK, FALSE_COLORS, NOT_WHITE
from datasets.readers.base import ReaderKind, SlideInfo, SlideReader
from datasets.readers.dicom import DicomReader, StitchedReader, ycc_to_rgb
from datasets.readers.dicom_headers import describe, read_header, refuse_missing_parts
from datasets.readers.pyramid import PyramidReader
from datasets.readers.tiff import TiffReader, is_own
from datasets.told import told

OVERVIEW_PX = 2048
"""Longest side of the picture by which a slide is judged as a whole."""
_NEUTRAL, _ODD = 28, 70
"""Spread between the channels of empty glass: up to the first it is white, from the second false."""
_DARK = 60
"""A median brightness below this is fluorescence, not light through a smear."""


def is_scan(path: Path) -> bool:
    """Return whether the file is a slide: DICOM of that class, or of a format that OpenSlide knows."""
    if is_dicom(path):
        return bool(describe(path)["is_wsi"])
    return _kind_of(path) is not None


def _is_pyramid(path: Path) -> bool:
    return openslide.OpenSlide.detect_format(path) not in (None, "dicom")


def _kind_of(path: Path) -> ReaderKind | None:
    return next((kind for kind in READERS.values() if kind.detects(path)), None)


def open_slide(paths: Sequence[Path]) -> SlideReader:
    """Open a slide and look at all of it once, so that a file that cannot be read is told now.

    Args:
        paths: One file, or all DICOM instances of a slide.

    Raises:
        UnreadableFile: With the reason.
    """
    reader = _open(paths)
    try:
        picture = overview(reader)
        return _with_true_colors(reader, picture)
    except UnreadableFile:
        reader.close()
        raise


def _open(paths: Sequence[Path]) -> SlideReader:
    kind = _kind_of(paths[0])
    return kind.open(paths) if kind else PyramidReader(paths[0])


def _open_dicom(paths: Sequence[Path]) -> SlideReader:
    headers = [read_header(path) for path in paths]
    refuse_missing_parts(headers)
    try:
        return DicomReader(paths, headers)
    except UnreadableFile:
        if len(paths) > 1:
            raise
        return StitchedReader(paths[0])


READERS: Registry[ReaderKind] = Registry("readers", ReaderKind, {
    "dicom": ReaderKind(detects=is_dicom, open=_open_dicom),
    "tiff": ReaderKind(detects=is_own, open=lambda paths: TiffReader(paths[0])),
    "openslide": ReaderKind(detects=_is_pyramid, open=lambda paths: PyramidReader(paths[0])),
})  # fmt: skip
"""The readers by name; the first that knows a file's bytes opens it."""


def overview(reader: SlideReader) -> Picture:
    """Return a small picture of the whole slide, from the coarsest level that is large enough.

    Returns:
        RGB, at most `OVERVIEW_PX` on its longer side where the slide has such a level, else a
        square of that size from the middle of its coarsest one.
    """
    levels = reader.info.levels
    small = [i for i, level in enumerate(levels) if max(level.width_px, level.height_px) <= OVERVIEW_PX]
    index = min(small, key=lambda i: levels[i].downsample, default=len(levels) - 1)
    level = levels[index]
    width, height = min(level.width_px, OVERVIEW_PX), min(level.height_px, OVERVIEW_PX)
    x, y = ((level.width_px - width) / 2 * level.downsample, (level.height_px - height) / 2 * level.downsample)
    # The finest level must be readable too: a damaged one often has whole thumbnails.
    side = min(256, *reader.info.size)
    reader.read_region((reader.info.size[0] - side) // 2, (reader.info.size[1] - side) // 2, side, side, level=0)
    return reader.read_region(round(x), round(y), width, height, level=index)


def _glass(picture: Picture) -> float:
    """Return the spread between the channels of the brightest fifth, which is empty glass."""
    pixels = picture.reshape(-1, 3)[:: max(1, picture.size // 600_000)]
    pixels = pixels[(pixels != OUTSIDE).any(axis=1)]
    if not len(pixels):
        return 0.0
    total = pixels.sum(axis=1, dtype=np.int64)
    return float(np.ptp(np.median(pixels[total >= np.quantile(total, 0.8)], axis=0)))


def _with_true_colors(reader: SlideReader, picture: Picture) -> SlideReader:
    spread = _glass(picture)
    if reader.info.format == "dicom" and spread >= _ODD and _glass(ycc_to_rgb(picture)) <= _NEUTRAL:
        return _Converted(reader, replace(reader.info, notes=(*reader.info.notes, FALSE_COLORS)))
    if float(np.median(picture.max(axis=2))) < _DARK:
        return _Noted(reader, DARK)
    if spread > _NEUTRAL:
        return _Noted(reader, told(NOT_WHITE, spread=f"{spread:.0f}"))
    return reader


class _Noted:
    """A reader with one more thing to tell."""

    def __init__(self, reader: SlideReader, note: str) -> None:
        self._reader = reader
        self._info = replace(reader.info, notes=(*reader.info.notes, note))

    @property
    def info(self) -> SlideInfo:
        """Its technical facts."""
        return self._info

    def read_region(self, x: int, y: int, width: int, height: int, *, level: int, z_um: float = 0.0) -> Picture:
        """Read pixels; see `SlideReader`."""
        return self._reader.read_region(x, y, width, height, level=level, z_um=z_um)

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


class _Converted(_Noted):
    """A reader whose frames were taken for RGB but hold Y, Cb, Cr."""

    def __init__(self, reader: SlideReader, info: SlideInfo) -> None:
        self._reader, self._info = reader, info

    def read_region(self, x: int, y: int, width: int, height: int, *, level: int, z_um: float = 0.0) -> Picture:
        """Read pixels in true colours; what lies outside keeps its paint."""
        pixels = self._reader.read_region(x, y, width, height, level=level, z_um=z_um)
        is_outside = (pixels == OUTSIDE).all(axis=2)
        converted = ycc_to_rgb(pixels)
        converted[is_outside] = OUTSIDE
        return converted
