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
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_END_OF_JPEG = b"\xff\xd9"
_KEPT_BYTES = 32 << 20
_MOST_PAGES = 4096
_MOST_TILE_BYTES = 1 << 24
_BASELINE, _OTHER_FRAMES, _SCAN = 0xC0, range(0xC1, 0xC4), 0xDA
_BLOCK_ROWS = 16
"""Rows that are coded together at most."""
_VECTOR = 32
"""Bytes that the decoder writes at once."""


class TiledLevels:
    """Pages of tiles: the levels of a TIFF slide, or its levels and planes.

    Args:
        tif: The file, closed with this.
        pages: That `is_readable` knows.
    """

    def __init__(self, tif: tifffile.TiffFile, pages: Sequence[tifffile.TiffPage | tifffile.TiffFrame]) -> None:
        self._tif, self._pages = tif, list(pages)
        self._kept: OrderedDict[tuple[int, int], Picture] = OrderedDict()
        self._kept_bytes = 0

    def read(self, left: int, top: int, width: int, height: int, *, level: int) -> Picture:
        """Read pixels of a region that lies inside its level.

        Args:
            left: In pixels of the level.
            top: In pixels of the level.
            width: Of the region.
            height: Of the region.
            level: Index into the pages.

        Returns:
            RGB, shape (height, width, 3), uint8.

        Raises:
            UnreadableFile: A tile is missing or not whole.
        """
        page = kind_of(self._pages[level])
        side_x, side_y = page.tilewidth, page.tilelength
        region = np.empty((height, width, 3), np.uint8)
        for row in range(top // side_y, -(-(top + height) // side_y)):
            for column in range(left // side_x, -(-(left + width) // side_x)):
                at_x, at_y = column * side_x, row * side_y
                x0, x1 = max(left, at_x), min(left + width, at_x + side_x)
                y0, y1 = max(top, at_y), min(top + height, at_y + side_y)
                is_whole = (x1 - x0, y1 - y0) == (side_x, side_y)
                tile = self._tile(level, row * page.chunked[1] + column, y1 - at_y, is_whole=is_whole)
                if is_whole and (width, height) == (side_x, side_y):
                    return tile
                region[y0 - top : y1 - top, x0 - left : x1 - left] = tile[y0 - at_y : y1 - at_y, x0 - at_x : x1 - at_x]
        return region

    def close(self) -> None:
        """Close the file."""
        self._tif.close()

    def _tile(self, level: int, index: int, rows: int, *, is_whole: bool) -> Picture:
        """Return a tile, or so much of it that it has these rows; not to be written to.

        One that its region takes whole is not kept: the neighbours have no use for it, and memory that was just given
        back is still in the processor's cache when the next tile is decoded into it.
        """
        key = (level, index)
        tile = self._kept.get(key)
        if tile is not None and len(tile) >= rows:
            self._kept.move_to_end(key)
            return tile
        if is_whole:
            return self._decode(self._pages[level], index, rows)
        self._kept_bytes -= 0 if tile is None else self._kept.pop(key).nbytes
        tile = self._kept[key] = self._decode(self._pages[level], index, rows)
        self._kept_bytes += tile.nbytes
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return tile

    def _decode(self, page: tifffile.TiffPage | tifffile.TiffFrame, index: int, rows: int) -> Picture:
        length = page.databytecounts[index]
        if not 0 < length <= _MOST_TILE_BYTES:
            raise UnreadableFile("a tile is missing")
        stream = page.parent.filehandle
        stream.seek(page.dataoffsets[index])
        data = stream.read(length)
        kind = kind_of(page)
        if len(data) != length or (kind.compression == _JPEG and not data.rstrip(b"\0").endswith(_END_OF_JPEG)):
            raise UnreadableFile("a tile is not whole")
        if kind.compression == _JPEG:
            data, rows = _upper_rows(data, rows, kind.tilelength)
            colors, to = jpeg_decode_colorspace(kind.photometric, kind.planarconfig, kind.extrasamples, kind.is_jfif)
            tile = imagecodecs.jpeg8_decode(data, tables=kind.jpegtables, colorspace=colors, outcolorspace=to,
                                            out=_room(rows, kind.tilewidth, kind.samplesperpixel))  # fmt: skip
        else:
            rows = kind.tilelength
            found, _, _ = kind.decode(data, index, _fullsize=True)
            tile = np.empty(0) if found is None else found[0]
        tile = tile.reshape((*tile.shape[:2], -1))
        if tile.shape != (rows, kind.tilewidth, kind.samplesperpixel) or tile.dtype != np.uint8:
            raise UnreadableFile("a tile is of another kind")
        if kind.photometric == _WHITE_IS_ZERO:
            tile = 255 - tile
        return np.asarray(tile if kind.samplesperpixel == 3 else np.repeat(tile, 3, axis=2))


def _room(rows: int, width: int, samples: int) -> Picture:
    """Return memory for a tile that begins between two multiples of 32 bytes.

    At such a multiple libjpeg-turbo writes past the processor's cache, and whoever looks at the pixels next waits for
    them: decoding a tile and copying it took a quarter longer.
    """
    size = rows * width * samples
    whole = np.empty(size + _VECTOR, np.uint8)
    start = (_VECTOR // 2 - whole.ctypes.data) % _VECTOR
    return whole[start : start + size].reshape((rows, width) if samples == 1 else (rows, width, samples))


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


def kind_of(page: tifffile.TiffPage | tifffile.TiffFrame) -> tifffile.TiffPage:
    """Return the page that tells how a page's pixels are kept: a frame has only their places."""
    assert page.keyframe is not None
    return page.keyframe


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF whose pages can be counted.

    Raises:
        UnreadableFile: It has more pages than any slide has.
    """
    tif = tifffile.TiffFile(path, _multifile=False)  # an OME-TIFF may name other files: they are not opened
    # The number of pages first: a chain of pages that loops hangs what comes after otherwise.
    if len(tif.pages) > _MOST_PAGES:
        tif.close()
        raise UnreadableFile("more pages than any slide has")
    return tif


def jpeg_levels(path: Path, sizes: Sequence[tuple[int, int]]) -> TiledLevels:
    """Return the levels of a slide that OpenSlide has opened, each a page of JPEG tiles.

    Args:
        path: A regular file.
        sizes: Width and height of each level.

    Raises:
        UnreadableFile: A level is no such page.
    """
    tif = open_tiff(path)
    pages = [page for page in tif.pages if isinstance(page, tifffile.TiffPage) and is_readable(page)]
    pages = [page for page in pages if page.compression == _JPEG and page.samplesperpixel == 3]
    by_size = {(page.imagewidth, page.imagelength): page for page in pages}
    if len(by_size) < len(pages) or not set(sizes) <= set(by_size):
        tif.close()
        raise UnreadableFile("not every level is a page of JPEG tiles")
    return TiledLevels(tif, [by_size[size] for size in sizes])


def is_readable(page: tifffile.TiffPage) -> bool:
    """Return whether a page is made of tiles of 8-bit grey or RGB."""
    is_color = page.samplesperpixel == 3 and page.planarconfig == _CONTIGUOUS
    is_known = page.photometric in (_RGB, _YCBCR if page.compression == _JPEG else _RGB) if is_color else (
        page.samplesperpixel == 1 and page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO))  # fmt: skip
    return (
        322 in page.tags and page.bitspersample == 8 and is_known
        and page.tilewidth * page.tilelength * page.samplesperpixel <= _MOST_TILE_BYTES
    )  # fmt: skip
