"""Tiles of slides and fields for deep zoom: which there are, how they are cut, and the ones that are kept.

Level `finest` is level 0 of the slide; each level below it has half its side. A tile's pixels are
read in the sandbox from the file's own level that is just fine enough.
"""

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass

from datasets.crops import Picture, resize_to
from datasets.pictures import SlidePicture

TILE_PX = 512
"""Side of a tile. Six of them fill a page; at 256 px it would be twenty questions to the sandbox."""
_MOST_SOURCE_PX = 4096
"""Most pixels of the file, along a side, that one tile is made of: it must not take a second."""
_CACHE_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class TileGrid:
    """The tiles of one slide."""

    width_px: int
    height_px: int
    coarsest_downsample: float = 1.0
    """Of the file's own coarsest level."""

    @property
    def finest(self) -> int:
        """Number of the level of full size."""
        return max(0, math.ceil(math.log2(max(self.width_px, self.height_px))))

    @property
    def coarsest(self) -> int:
        """Number of the smallest level whose tiles are still quickly made."""
        most = self.coarsest_downsample * _MOST_SOURCE_PX / TILE_PX
        return max(0, self.finest - int(math.log2(most)))

    def size(self, level: int) -> tuple[int, int]:
        """Return a level's width and height in its own pixels."""
        scale = 1 << (self.finest - level)
        return math.ceil(self.width_px / scale), math.ceil(self.height_px / scale)

    def box(self, level: int, column: int, row: int) -> tuple[int, int, int, int] | None:
        """Return a tile's place in pixels of its level: left, top, width, height; None where there is none."""
        if not self.coarsest <= level <= self.finest:
            return None
        width, height = self.size(level)
        left, top = column * TILE_PX, row * TILE_PX
        if column < 0 or row < 0 or left >= width or top >= height:
            return None
        return left, top, min(TILE_PX, width - left), min(TILE_PX, height - top)


def cut_tile(
    picture: SlidePicture, grid: TileGrid, level: int, column: int, row: int, *, mpp: float | None, z_um: float = 0.0
) -> Picture | None:
    """Cut one tile.

    Args:
        picture: The slide's pixels.
        grid: Its tiles.
        level: `grid.coarsest` to `grid.finest`.
        column: From the left.
        row: From the top.
        mpp: The slide's scale in um/px; None for a field without one, which has no levels of its own.
        z_um: Focal plane.

    Returns:
        RGB, shape (H, W, 3), uint8, at most `TILE_PX` on a side; None where there is no such tile.

    Raises:
        UnreadableFile: This part is damaged.
    """
    box = grid.box(level, column, row)
    if box is None:
        return None
    left, top, width, height = box
    scale = 1 << (grid.finest - level)
    pixels, _ = picture.read(left * scale, top * scale, width * scale, height * scale,
                             mpp=None if mpp is None else mpp * scale, z_um=z_um)  # fmt: skip
    return resize_to(pixels, width, height)


class TileCache:
    """Encoded tiles, least recently used ones forgotten first. Keyed by what is seen, never by a file's name.

    Args:
        most_bytes: What all tiles together may weigh.
    """

    def __init__(self, most_bytes: int = _CACHE_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._tiles: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...]) -> bytes | None:
        """Return a tile, None where it is not kept."""
        with self._lock:
            content = self._tiles.get(key)
            if content is not None:
                self._tiles.move_to_end(key)
            return content

    def put(self, key: tuple[object, ...], content: bytes) -> None:
        """Keep a tile."""
        with self._lock:
            self._bytes += len(content) - len(self._tiles.pop(key, b""))
            self._tiles[key] = content
            while self._bytes > self._most_bytes:
                _, old = self._tiles.popitem(last=False)
                self._bytes -= len(old)

    def __len__(self) -> int:
        return len(self._tiles)
