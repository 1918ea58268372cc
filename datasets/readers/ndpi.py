"""Focal planes of Hamamatsu's NDPI through tifffile: OpenSlide reads one of them and says nothing.

A plane is a chain of pages, one for each scanned magnification; the offset from the nominal focus is in
tag 65424, in nanometres (seen from the bytes of Hamamatsu's own files). Pages of negative magnification are
the macro picture and its map, which are never decoded.
"""

from pathlib import Path

import numpy as np
import tifffile

from datasets.crops import Picture, resize_to
from datasets.errors import UnreadableFile
from datasets.readers.base import MAX_REGION_PIXELS

_FOCUS_TAG, _LENS_TAG = 65424, 65421
_MOST_PAGES = 512


class NdpiStack:
    """The pages of an NDPI by focal plane. OpenSlide reads the plane at 0.

    Args:
        path: A regular file that OpenSlide has opened as Hamamatsu's.
    """

    def __init__(self, path: Path) -> None:
        self._tif = tifffile.TiffFile(path)
        # The number of pages first: a chain of pages that loops hangs what comes after otherwise.
        count = min(len(self._tif.pages), _MOST_PAGES)
        pages = [page for page in self._tif.pages[:count] if isinstance(page, tifffile.TiffPage)]
        self._pages: dict[float, list[tifffile.TiffPage]] = {}
        for page in pages:
            if page.tags.valueof(_LENS_TAG, 0) > 0:
                self._pages.setdefault(int(page.tags.valueof(_FOCUS_TAG, 0)) / 1000, []).append(page)
        self.planes_um = tuple(sorted(self._pages)) or (0.0,)

    def read(self, x: int, y: int, width: int, height: int, *, level_width: int, z_um: float) -> Picture:
        """Read pixels of one plane.

        Args:
            x: Left edge in pixels of the level, inside it.
            y: Top edge in pixels of the level.
            width: In pixels of the level.
            height: In pixels of the level.
            level_width: Of the whole level: tells which page is read.
            z_um: One of `planes_um`.

        Returns:
            RGB, shape (height, width, 3), uint8.

        Raises:
            UnreadableFile: A part of it cannot be decoded, or is too large.
        """
        pages = self._pages[z_um]
        fine = [page for page in pages if page.imagewidth >= level_width] or pages
        page = min(fine, key=lambda page: page.imagewidth)
        factor = page.imagewidth / level_width
        box = [round(value * factor) for value in (x, y, x + width, y + height)]
        return resize_to(_read_page(page, *box), width, height)

    def close(self) -> None:
        """Close the file."""
        self._tif.close()


def _read_page(page: tifffile.TiffPage, left: int, top: int, right: int, bottom: int) -> Picture:
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    rows, columns = page.chunks[:2]
    if rows * columns > MAX_REGION_PIXELS or (right - left) * (bottom - top) > MAX_REGION_PIXELS:
        raise UnreadableFile("a part of this focal plane is too large to read at once")
    region = np.full((bottom - top, right - left, 3), 255, np.uint8)
    for row in range(top // rows, -(-min(bottom, page.imagelength) // rows)):
        for column in range(left // columns, -(-min(right, page.imagewidth) // columns)):
            tile = _tile(page, row * page.chunked[1] + column)
            at_y, at_x = row * rows, column * columns
            y0, y1 = max(top, at_y), min(bottom, at_y + tile.shape[0])
            x0, x1 = max(left, at_x), min(right, at_x + tile.shape[1])
            if y1 > y0 and x1 > x0:
                region[y0 - top : y1 - top, x0 - left : x1 - left] = tile[y0 - at_y : y1 - at_y, x0 - at_x : x1 - at_x]
    return region


def _tile(page: tifffile.TiffPage, index: int) -> Picture:
    stream = page.parent.filehandle
    stream.seek(page.dataoffsets[index])
    data = stream.read(page.databytecounts[index])
    found, _, shape = page.decode(data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader)
    if found is None:
        raise UnreadableFile("a part of this focal plane is missing")
    tile = np.asarray(found, np.uint8).reshape(-1, *found.shape[-2:])[: shape[-3], : shape[-2]]
    return tile[..., :3] if tile.shape[-1] >= 3 else np.repeat(tile[..., :1], 3, axis=2)
