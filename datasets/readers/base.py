"""What every slide reader offers: its levels, its scale, and regions of pixels.

Coordinates are level-0 pixels (x, y), sizes are (width, height) in pixels of the level, arrays are
(H, W, 3). Readers run only inside the killable child that `sandbox` starts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from datasets.crops import OUTSIDE, Picture
from datasets.geometry import plausible_mpp
from datasets.notices import NO_SCALE, NOT_SQUARE, OTHER_LENS, OTHER_SCALE
from datasets.told import told

_SQUARE = 1.05
"""Sides of a pixel differ by less than this factor in every scanner's files."""
_OTHER_SIDE = 1.2
_LENSES = (4.0, 100.0)
_OF_LENS = (0.42, 2.2)
"""um/px times magnification through 10: a scanner's camera adapter makes it .46 to 1.1."""
_LENS = re.compile(r"(?i)\b(?:appmag|(?:nominal)?magnification|objective(?:[ _]?power)?)\W{1,4}(\d{1,3}(?:\.\d+)?)")
_SIDE = re.compile(r"(?i)\b(?:mpp|um[/ ]px|pixel[ _]?size|microns?[ _]?per[ _]?pixel)\W{1,4}(\d?\.\d{1,8})")
MAX_REGION_PIXELS = 100_000_000
MAX_SLIDE_PIXELS = 1 << 40
"""Larger claims are lies: no scanner makes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One level of the pyramid."""

    width_px: int
    height_px: int
    downsample: float
    """Level-0 pixels for each of its pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideInfo:
    """All that is kept of a slide's header: technical facts, no text that a person wrote."""

    format: str
    """"aperio", "hamamatsu", "mirax", "generic-tiff", "dicom", ..."""
    levels: tuple[Level, ...]
    """Level 0 first, the finest."""
    mpp: float | None
    """Micrometres per pixel of level 0, None where the file does not tell or tells nonsense."""
    objective: float | None = None
    z_um: tuple[float, ...] = (0.0,)
    """Focal planes that can be read, in micrometres."""
    notes: tuple[str, ...] = ()
    """What the operator must be told: repairs, planes out of reach, odd colours."""
    removed: tuple[str, ...] = ()
    """Kinds of identifying content that stayed behind in the original, never decoded."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""
        return self.levels[0].width_px, self.levels[0].height_px

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a pipe or a database."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `to_json` made; wrong names or types raise TypeError or ValueError.

        Raises:
            ValueError: No level, or a value that is no number.
            TypeError: A value of another type.
            KeyError: A name is missing.
        """
        levels = tuple(Level(width_px=int(v["width_px"]), height_px=int(v["height_px"]),
                             downsample=float(v["downsample"])) for v in value["levels"])  # fmt: skip
        if not levels:
            raise ValueError("no level")
        return cls(
            format=str(value["format"]), levels=levels,
            mpp=None if value["mpp"] is None else float(value["mpp"]),
            objective=None if value["objective"] is None else float(value["objective"]),
            z_um=tuple(float(z) for z in value["z_um"]),
            notes=tuple(str(note) for note in value["notes"]),
            removed=tuple(str(kind) for kind in value["removed"]),
        )  # fmt: skip

    def level_for(self, mpp: float, base_mpp: float) -> int:
        """Return the coarsest level that is at least as fine as `mpp`, else level 0.

        Args:
            mpp: Wanted micrometres per pixel.
            base_mpp: Scale of level 0; given by hand where the file does not tell.
        """
        fine = [i for i, level in enumerate(self.levels) if level.downsample * base_mpp <= mpp * 1.02]
        return max(fine, key=lambda i: self.levels[i].downsample, default=0)


class SlideReader(Protocol):
    """An open slide."""

    @property
    def info(self) -> SlideInfo:
        """Its technical facts."""

    def read_region(self, x: int, y: int, width: int, height: int, *, level: int, z_um: float = 0.0) -> Picture:
        """Read pixels.

        Args:
            x: Left edge in level-0 pixels; may lie outside.
            y: Top edge in level-0 pixels.
            width: Of the result, in pixels of the level.
            height: Of the result, in pixels of the level.
            level: Index into `info.levels`.
            z_um: The focal plane; the nearest one is taken.

        Returns:
            RGB, shape (height, width, 3), uint8; what lies outside is painted in `OUTSIDE`.
        """

    def close(self) -> None:
        """Give back files and memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderKind:
    """A way to read slides of one kind."""

    detects: Callable[[Path], bool]
    """Whether a file is of this kind, told by its bytes."""
    open: Callable[[Sequence[Path]], SlideReader]
    """Opens a slide of one file, or of all its DICOM instances; raises `UnreadableFile` with the reason."""


def scale_of(x_um: float | None, y_um: float | None) -> tuple[float | None, tuple[str, ...]]:
    """Return the scale of pixels, None where it is not told or nonsense, and what must be told of it.

    Args:
        x_um: Told width of a pixel in micrometres; None and zero: not told.
        y_um: Its told height.
    """
    if not x_um or not y_um:
        return None, ()
    side = (x_um + y_um) / 2
    if plausible_mpp(side) is None:
        return None, (told(NO_SCALE, mpp=f"{side:.4g}"),)
    if max(x_um, y_um) / min(x_um, y_um) > _SQUARE:
        return side, (told(NOT_SQUARE, x=f"{x_um:.4g}", y=f"{y_um:.4g}"),)
    return side, ()


def _told_once(what: re.Pattern[str], text: str) -> float | None:
    """Return a number that a text tells, None where it tells none or several."""
    values = {float(value) for value in what.findall(text)}
    return values.pop() if len(values) == 1 else None


def doubts_of(mpp: float | None, objective: float | None = None, *, text: str = "",
              other_um: float | None = None) -> tuple[str, ...]:  # fmt: skip
    """Return a sentence where a file contradicts its own scale: inches written for centimetres are 2.54 times.

    Args:
        mpp: The scale that is taken.
        objective: Magnification that the file tells.
        text: A description that may name magnification or um/px; nothing else of it is kept.
        other_um: Side of a pixel by another attribute.
    """
    if mpp is None:
        return ()
    power = objective or _told_once(_LENS, text)
    side = plausible_mpp(other_um or _told_once(_SIDE, text))
    found = []
    if side is not None and max(side, mpp) / min(side, mpp) > _OTHER_SIDE:
        found.append(told(OTHER_SCALE, mpp=f"{mpp:.4g}", other=f"{side:.4g}"))
    if power and _LENSES[0] <= power <= _LENSES[1] and not _OF_LENS[0] < mpp * power / 10 < _OF_LENS[1]:
        found.append(told(OTHER_LENS, mpp=f"{mpp:.4g}", lens=f"{power:g}", other=f"{10 / power:.2g}"))
    return tuple(found)


def inner_box(level: Level, x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the part of a region that lies inside its level: left, top, width, height in its pixels.

    Args:
        level: The level.
        x: Left edge in pixels of level 0.
        y: Upper edge in pixels of level 0.
        width: In pixels of the level.
        height: In pixels of the level.
    """
    left, top = round(x / level.downsample), round(y / level.downsample)
    right, bottom = min(left + width, level.width_px), min(top + height, level.height_px)
    left, top = max(left, 0), max(top, 0)
    return left, top, max(right - left, 0), max(bottom - top, 0)


def paste(level: Level, x: int, y: int, width: int, height: int, inside: Picture) -> Picture:
    """Put what `inner_box` named into a region that is painted in `OUTSIDE` elsewhere; arguments as in `inner_box`."""
    left, top, inner_width, inner_height = inner_box(level, x, y, width, height)
    if (inner_width, inner_height) == (width, height):
        return inside
    region = np.full((height, width, 3), OUTSIDE, np.uint8)
    row, column = top - round(y / level.downsample), left - round(x / level.downsample)
    if inner_width and inner_height:
        region[row : row + inner_height, column : column + inner_width] = inside
    return region
