"""Tiles of a TIFF read straight from the file: an index, one read and one JPEG decoder instead of a picture library.

Used where that is certain to give what OpenSlide gives, several times as fast: 8-bit colour, JPEG tiles, every level a
page. Whatever is not as expected is left to OpenSlide, whose errors are strict.

Of a tile that reaches below its region only the upper rows are decoded: a region that lies anywhere needs half of its
lowest tiles. A baseline JPEG (ITU-T T.81) is coded from top to bottom, so its header is told that it ends there.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from tifffile.tifffile import jpeg_decode_colorspace

from datasets.crops import Picture
from datasets.errors import UnreadableFile

_JPEG, _CONTIGUOUS = 7, 1
_END_OF_JPEG = b"\xff\xd9"
_KEPT_BYTES = 32 << 20
_MOST_PAGES = 4096
_MOST_TILE_BYTES = 1 << 24
_BASELINE, _OTHER_FRAMES, _SCAN = 0xC0, range(0xC1, 0xC4), 0xDA
_BLOCK_ROWS = 16
"""Rows that are coded together at most."""


class TiledLevels:
    """The levels of a TIFF slide as pages of JPEG tiles.

    Args:
        path: A regular file that OpenSlide has opened.
        sizes: Width and height of each level.

    Raises:
        UnreadableFile: A level is not such a page.
    """

    def __init__(self, path: Path, sizes: Sequence[tuple[int, int]]) -> None:
        self._tif = tifffile.TiffFile(path)
        try:
            self._pages = _pages_of(self._tif, sizes)
        except BaseException:
            self._tif.close()
            raise
        self._kept: OrderedDict[tuple[int, int], Picture] = OrderedDict()
        self._kept_bytes = 0

    def read(self, left: int, top: int, width: int, height: int, *, level: int) -> Picture:
        """Read pixels of a region that lies inside its level.

        Args:
            left: In pixels of the level.
            top: In pixels of the level.
            width: Of the region.
            height: Of the region.
            level: Index into the sizes.

        Returns:
            RGB, shape (height, width, 3), uint8.

        Raises:
            UnreadableFile: A tile is missing or not whole.
        """
        page = self._pages[level]
        side_x, side_y = page.tilewidth, page.tilelength
        region = np.empty((height, width, 3), np.uint8)
        for row in range(top // side_y, -(-(top + height) // side_y)):
            for column in range(left // side_x, -(-(left + width) // side_x)):
                at_x, at_y = column * side_x, row * side_y
                x0, x1 = max(left, at_x), min(left + width, at_x + side_x)
                y0, y1 = max(top, at_y), min(top + height, at_y + side_y)
                tile = self._tile(level, row * page.chunked[1] + column, y1 - at_y)
                if (width, height) == (side_x, side_y) == (x1 - x0, y1 - y0):
                    return tile
                region[y0 - top : y1 - top, x0 - left : x1 - left] = tile[y0 - at_y : y1 - at_y, x0 - at_x : x1 - at_x]
        return region

    def close(self) -> None:
        """Close the file."""
        self._tif.close()

    def _tile(self, level: int, index: int, rows: int) -> Picture:
        """Return a tile, or so much of it that it has these rows; not to be written to."""
        key = (level, index)
        tile = self._kept.get(key)
        if tile is not None and len(tile) >= rows:
            self._kept.move_to_end(key)
            return tile
        self._kept_bytes -= 0 if tile is None else self._kept.pop(key).nbytes
        tile = self._kept[key] = self._decode(self._pages[level], index, rows)
        self._kept_bytes += tile.nbytes
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return tile

    def _decode(self, page: tifffile.TiffPage, index: int, rows: int) -> Picture:
        length = page.databytecounts[index]
        if not 0 < length <= _MOST_TILE_BYTES:
            raise UnreadableFile("a tile is missing")
        stream = page.parent.filehandle
        stream.seek(page.dataoffsets[index])
        data = stream.read(length)
        if len(data) != length or not data.rstrip(b"\0").endswith(_END_OF_JPEG):
            raise UnreadableFile("a tile is not whole")
        data, rows = _upper_rows(data, rows, page.tilelength)
        colors, wanted = jpeg_decode_colorspace(page.photometric, page.planarconfig, page.extrasamples, page.is_jfif)
        tile = imagecodecs.jpeg8_decode(data, tables=page.jpegtables, colorspace=colors, outcolorspace=wanted)
        if tile.shape != (rows, page.tilewidth, 3) or tile.dtype != np.uint8:
            raise UnreadableFile("a tile is of another kind")
        return np.asarray(tile)


def _upper_rows(data: bytes, rows: int, side: int) -> tuple[bytes, int]:
    """Return a JPEG that ends below its upper rows, and how many it has; the whole where little is gained."""
    # One row more: the colours of the last one lean on the next.
    rows = -(-(rows + 1) // _BLOCK_ROWS) * _BLOCK_ROWS
    place = 2
    while rows <= side * 7 // 8 and place + 9 < len(data) and data[place] == 0xFF:
        kind = data[place + 1]
        if kind == _BASELINE and int.from_bytes(data[place + 5 : place + 7]) == side:
            return data[: place + 5] + rows.to_bytes(2) + data[place + 7 :], rows
        if kind in (_SCAN, _BASELINE, *_OTHER_FRAMES):
            break
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return data, side


def _pages_of(tif: tifffile.TiffFile, sizes: Sequence[tuple[int, int]]) -> list[tifffile.TiffPage]:
    # The number of pages first: a chain of pages that loops hangs what comes after otherwise.
    if len(tif.pages) > _MOST_PAGES:
        raise UnreadableFile("more pages than any slide has")
    pages = [page for page in tif.pages if isinstance(page, tifffile.TiffPage) and _fits(page)]
    by_size = {(page.imagewidth, page.imagelength): page for page in pages}
    if len(by_size) < len(pages) or not set(sizes) <= set(by_size):
        raise UnreadableFile("not every level is a page of JPEG tiles")
    return [by_size[size] for size in sizes]


def _fits(page: tifffile.TiffPage) -> bool:
    tags = page.tags
    return (
        322 in tags and page.compression == _JPEG and page.bitspersample == 8 and page.samplesperpixel == 3
        and page.planarconfig == _CONTIGUOUS
        and page.tilewidth * page.tilelength * 3 <= _MOST_TILE_BYTES
    )  # fmt: skip
