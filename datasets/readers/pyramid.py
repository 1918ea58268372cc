"""Vendor pyramids and tiled TIFF through OpenSlide: SVS, NDPI, MRXS, BIF, SCN, CZI and others."""

import functools
from pathlib import Path

import cv2
import numpy as np
import openslide
from PIL import Image

from datasets.crops import OUTSIDE, Picture
from datasets.errors import WAY_OUT, UnreadableFile
from datasets.readers.base import MAX_SLIDE_PIXELS, Level, SlideInfo, doubts_of, inner_box, paste, scale_of
from datasets.readers.ndpi import NdpiStack
from datasets.readers.tiles import TiledLevels, jpeg_levels

_TILED_FORMATS = ("aperio", "generic-tiff")
"""Formats whose levels may be pages of JPEG tiles."""
_KEPT_BYTES = 128 << 20
"""Decoded parts that all slides of this process share. An NDPI's are strips that can be as wide as the slide: those of
one region of 256 px are 105 MB in a slide of 100,000 px, and its neighbours lie in the same ones."""
_OPAQUE = np.array([0, 0, 0, 255], np.uint8).view(np.uint32)[0]


class PyramidReader:
    """A slide that OpenSlide opens. Label and macro pictures are never decoded.

    Args:
        path: A regular file.

    Raises:
        UnreadableFile: OpenSlide does not open it, with its reason.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            raise UnreadableFile(f"OpenSlide cannot open it ({_reason(error, path)}); {WAY_OUT}") from error
        self._slide.set_cache(_kept_parts())
        properties = self._slide.properties
        # A MIRAX scan is a small island in a large empty frame: only the island is the slide.
        self._left, self._top = (_whole(properties.get(f"openslide.bounds-{axis}")) or 0 for axis in "xy")
        full = self._slide.level_dimensions[0]
        size = (_whole(properties.get("openslide.bounds-width")) or full[0],
                _whole(properties.get("openslide.bounds-height")) or full[1])  # fmt: skip
        if size[0] * size[1] > MAX_SLIDE_PIXELS:
            raise UnreadableFile(f"claims {size[0]} x {size[1]} pixels, more than any scanner makes")
        levels = tuple(
            Level(width_px=width, height_px=height, downsample=down) if size == full
            else Level(width_px=max(1, int(size[0] / down)), height_px=max(1, int(size[1] / down)), downsample=down)
            for (width, height), down in zip(self._slide.level_dimensions, self._slide.level_downsamples, strict=True)
        )  # fmt: skip
        mpp, notes = scale_of(*(_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy"))
        objective = _number(properties.get("openslide.objective-power"))
        notes += doubts_of(mpp, objective, text=properties.get("tiff.ImageDescription", ""))
        vendor = properties.get("openslide.vendor", "unknown")
        self._stack = _stack_of(path) if vendor == "hamamatsu" else None
        self._path, self._has_looked = path, False
        self._tiles: TiledLevels | None = None
        self._info = SlideInfo(
            format=vendor, levels=levels, mpp=mpp,
            objective=objective, notes=notes,
            z_um=self._stack.planes_um if self._stack else (0.0,),
            removed=tuple(sorted({*(f"{name} picture" for name in self._slide.associated_images if name != "thumbnail"),
                                  *_text_kinds(properties)})),
        )  # fmt: skip

    @property
    def info(self) -> SlideInfo:
        """Its technical facts."""
        return self._info

    def read_region(self, x: int, y: int, width: int, height: int, *, level: int, z_um: float = 0.0) -> Picture:
        """Read pixels; see `SlideReader`.

        Raises:
            UnreadableFile: Neither the own tile index nor OpenSlide can decode it.
        """
        place = self._info.levels[level]
        left, top, inner_width, inner_height = inner_box(place, x, y, width, height)
        if not inner_width or not inner_height:
            return paste(place, x, y, width, height, np.empty((0, 0, 3), np.uint8))
        plane = min(self._info.z_um, key=lambda known: abs(known - z_um))
        if self._stack and plane != 0.0:  # OpenSlide reads the one at 0
            inside = self._stack.read(left, top, inner_width, inner_height, level_width=place.width_px, z_um=plane)
            return paste(place, x, y, width, height, inside)
        tiles = self._tiled_levels()
        if tiles is not None:
            try:
                inside = tiles.read(left, top, inner_width, inner_height, level=level)
                return paste(place, x, y, width, height, inside)
            except Exception:  # noqa: BLE001  decoders raise types that nobody can list; OpenSlide has the last word
                self._tiles = None
                tiles.close()
        corner = (self._left + round(left * place.downsample), self._top + round(top * place.downsample))
        try:
            pixels = self._slide.read_region(corner, level, (inner_width, inner_height))
        except openslide.OpenSlideError as error:
            raise UnreadableFile(f"damaged ({_reason(error, self._path)}); {WAY_OUT}") from error
        return paste(place, x, y, width, height, _on_ground(pixels))

    def _tiled_levels(self) -> TiledLevels | None:
        if not self._has_looked:
            self._has_looked = True
            if self._info.format in _TILED_FORMATS:
                self._tiles = _tiles_of(self._path, [(v.width_px, v.height_px) for v in self._info.levels])
        return self._tiles

    def close(self) -> None:
        """Close the file."""
        self._slide.close()
        if self._tiles:
            self._tiles.close()
        if self._stack:
            self._stack.close()


@functools.cache
def _kept_parts() -> openslide.OpenSlideCache:
    return openslide.OpenSlideCache(_KEPT_BYTES)


def _on_ground(pixels: Image.Image) -> Picture:
    """Return what OpenSlide read as RGB. What was not scanned is transparent and would turn black as it is."""
    found = np.asarray(pixels, np.uint8)
    if np.bitwise_and.reduce(found.view(np.uint32), axis=None) & _OPAQUE == _OPAQUE:
        return np.asarray(cv2.cvtColor(found, cv2.COLOR_RGBA2RGB), np.uint8)
    ground = Image.new("RGBA", pixels.size, OUTSIDE)
    return np.asarray(Image.alpha_composite(ground, pixels).convert("RGB"), np.uint8)


def _tiles_of(path: Path, sizes: list[tuple[int, int]]) -> TiledLevels | None:
    try:
        return jpeg_levels(path, sizes)
    except Exception:  # noqa: BLE001  what tifffile makes of a file that OpenSlide opened is no reason to refuse it
        return None


def _stack_of(path: Path) -> NdpiStack | None:
    """Return the focal planes of an NDPI, None where it has one, and of Hamamatsu's scans of several files."""
    with path.open("rb") as stream:
        if stream.read(2) not in (b"II", b"MM"):
            return None
    stack = NdpiStack(path)
    if len(stack.planes_um) > 1:
        return stack
    stack.close()
    return None


def _text_kinds(properties: object) -> set[str]:
    """Return the kinds of text in a header that can identify: none of it is kept."""
    names = " ".join(str(name).lower() for name in dict(properties))  # type: ignore[call-overload]  # a Mapping
    kinds = {"date": "scan date", "user": "user name", "filename": "file name", "barcode": "bar code", "title": "title",
             "scanscope id": "scanner id", "serial": "scanner id", "reference": "reference text",
             "comment": "comment", "imagedescription": "description"}  # fmt: skip
    return {kind for word, kind in kinds.items() if word in names}


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _reason(error: Exception, path: Path) -> str:
    """Return OpenSlide's sentence without the path, which can be a name, as that of a MIRAX scan's folder can."""
    text = str(error)
    for known, instead in (
        (str(path), "it"),
        (path.name, "it"),
        (f"{path.with_suffix('')}/", ""),
        (f"{path.parent}/", ""),
    ):
        text = text.replace(known, instead)
    return text[:200]
