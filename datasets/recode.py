"""A slide written anew as a plain pyramidal TIFF: for formats whose files cannot be copied without their texts.

Pixels come through the sandbox and are compressed as JPEG, so what the file held beside them cannot come along. Levels
are those of the original. Tiles that the scanner did not scan stay empty.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from datasets.crops import OUTSIDE, Picture
from datasets.readers.base import Level, SlideInfo
from datasets.sandbox import Decoder
from datasets.tiff_layout import HEADER_BYTES, SHORT, Entry, directories, header, numbers

TILE_PX = 512
QUALITY = 92
_STRIDE_TILES = 4
"""Tiles on a side that are read at once: large reads cost half as much for each pixel."""
_RATIONAL = 5
_CENTIMETRE, _JPEG, _YCBCR = 3, 7, 6
_PARTS = 10_000
"""Resolutions are told as so many parts of a pixel."""


def write_anew(target: Path, decoder: Decoder, path: Path, info: SlideInfo) -> None:
    """Write the levels of a slide into a new file.

    Args:
        target: The new file; a BigTIFF that OpenSlide knows as generic.
        decoder: Where the slide is read.
        path: The slide.
        info: From `decoder.open_slide`.

    Raises:
        UnreadableFile: A part of it cannot be read.
    """
    pages = []
    with target.open("wb") as stream:
        stream.write(bytes(HEADER_BYTES["big"]))
        for index, level in enumerate(info.levels):
            across, down = -(-level.width_px // TILE_PX), -(-level.height_px // TILE_PX)
            places, lengths = [0] * (across * down), [0] * (across * down)
            for column, row, tile in _tiles(decoder, path, index, level):
                data = _encoded(tile)
                places[row * across + column], lengths[row * across + column] = stream.tell(), len(data)
                stream.write(data)
            pages.append(_page(level, places, lengths, info.mpp, is_base=index == 0))
        stream.write(b"\0" * (stream.tell() % 2))
        at = stream.tell()
        stream.write(directories(pages, at, "big", "<"))
        stream.seek(0)
        stream.write(header(at, "big", "<"))
        stream.flush()
        os.fsync(stream.fileno())


def _tiles(decoder: Decoder, path: Path, index: int, level: Level) -> Iterator[tuple[int, int, Picture]]:
    """Yield column, row and pixels of the tiles that hold something, padded to their full size."""
    stride = TILE_PX * _STRIDE_TILES
    for top in range(0, level.height_px, stride):
        for left in range(0, level.width_px, stride):
            size = (min(stride, level.width_px - left), min(stride, level.height_px - top))
            corner = (round(left * level.downsample), round(top * level.downsample))
            part = decoder.read_region([path], *corner, *size, level=index)
            for y in range(0, size[1], TILE_PX):
                for x in range(0, size[0], TILE_PX):
                    tile = part[y : y + TILE_PX, x : x + TILE_PX]
                    if (tile != OUTSIDE).any():
                        missing = ((0, TILE_PX - tile.shape[0]), (0, TILE_PX - tile.shape[1]), (0, 0))
                        yield (left + x) // TILE_PX, (top + y) // TILE_PX, np.pad(tile, missing, mode="edge")


def _encoded(tile: Picture) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(tile, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return data.tobytes()


def _page(level: Level, places: list[int], lengths: list[int], mpp: float | None, *, is_base: bool) -> list[Entry]:
    shorts = {258: (8, 8, 8), 259: (_JPEG,), 262: (_YCBCR,), 277: (3,), 284: (1,), 530: (2, 2)}
    longs = {254: (0 if is_base else 1,), 256: (level.width_px,), 257: (level.height_px,), 322: (TILE_PX,),
             323: (TILE_PX,)}  # fmt: skip
    entries = [numbers(code, values, "big", "<", type_=SHORT) for code, values in shorts.items()]
    entries += [numbers(code, values, "big", "<", type_=4) for code, values in longs.items()]
    entries += [numbers(324, places, "big", "<"), numbers(325, lengths, "big", "<")]
    if mpp is not None:
        per_cm = round(1e4 / (mpp * level.downsample) * _PARTS)
        value = per_cm.to_bytes(4, "little") + _PARTS.to_bytes(4, "little")
        entries += [Entry(code=code, type=_RATIONAL, count=1, value=value) for code in (282, 283)]
        entries.append(numbers(296, (_CENTIMETRE,), "big", "<", type_=SHORT))
    return entries
