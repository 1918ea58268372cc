"""How a slide is cut for the search for nuclei: tiles of about one size, row by row."""

from dataclasses import dataclass

from datasets.catalog import Slide
from datasets.nuclei import WORK_MPP

TILE_PX = 2048
"""Most pixels along a side; of a scan coarser than the search's own scale fewer, because it is enlarged to that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A rectangle of a slide, in level-0 pixels."""

    x: int
    y: int
    width: int
    height: int


def count_tiles(slide: Slide) -> int:
    """Return in how many tiles a slide is searched."""
    return len(tiles_of(slide.width_px or 0, slide.height_px or 0, slide.mpp or WORK_MPP))


def tiles_of(width_px: int, height_px: int, mpp: float) -> list[Tile]:
    """Cover a slide with tiles; a camera field is one tile.

    Args:
        width_px: Of the slide.
        height_px: Of the slide.
        mpp: Its scale.
    """
    side = TILE_PX * min(1.0, WORK_MPP / mpp)
    columns, rows = max(1, round(width_px / side)), max(1, round(height_px / side))
    lefts = [round(width_px * i / columns) for i in range(columns + 1)]
    tops = [round(height_px * i / rows) for i in range(rows + 1)]
    return [
        Tile(x=lefts[c], y=tops[r], width=lefts[c + 1] - lefts[c], height=tops[r + 1] - tops[r])
        for r in range(rows) for c in range(columns)
    ]  # fmt: skip
