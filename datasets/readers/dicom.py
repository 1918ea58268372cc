"""DICOM whole slides through wsidicom, and through pydicom where a header needs a stated repair.

DICOM PS3.3 A.32.8 (VL Whole Slide Microscopy). A slide is a list of instances: its levels, its
focal planes, its concatenated parts.
"""

import functools
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from datasets.crops import OUTSIDE, Picture
from datasets.errors import WAY_OUT, UnreadableFile
from datasets.geometry import plausible_mpp
from datasets.notices import LAID_OUT, MISSING_TILES, OTHER_LIGHTS
from datasets.readers.base import Level, SlideInfo, doubts_of, inner_box, paste, scale_of
from datasets.readers.dicom_headers import flavor, read_header, refuse_unknown_compression
from datasets.told import told

_IDENTIFYING = ("LABEL", "OVERVIEW")


@functools.cache
def _wsidicom_errors() -> tuple[type[Exception], ...]:
    """Return wsidicom's errors; they share no base."""
    from wsidicom import errors

    kinds = (kind for kind in vars(errors).values() if isinstance(kind, type))
    return tuple(kind for kind in kinds if issubclass(kind, Exception))


class DicomReader:
    """A slide of DICOM instances, opened by wsidicom.

    Args:
        paths: All instances of the slide.
        headers: Theirs.

    Raises:
        UnreadableFile: wsidicom does not open them; `StitchedReader` may.
    """

    def __init__(self, paths: Sequence[Path], headers: Sequence[Dataset]) -> None:
        from wsidicom import WsiDicom  # seconds to import; most slides are not DICOM

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._slide = WsiDicom.open([str(path) for path in paths])
        except (*_wsidicom_errors(), ValueError, KeyError, AttributeError) as error:  # type: ignore[misc]  # a tuple
            raise UnreadableFile(
                f"not a whole slide that can be put together ({type(error).__name__}); {WAY_OUT}"
            ) from error
        base = self._slide.pyramid.base_level
        self._levels = list(self._slide.pyramid)
        levels = tuple(
            Level(width_px=level.size.width, height_px=level.size.height,
                  downsample=(base.size.width / level.size.width + base.size.height / level.size.height) / 2)
            for level in self._levels
        )  # fmt: skip
        mpp, notes = scale_of(base.mpp.width, base.mpp.height) if base.mpp else (None, ())
        volume = next((header for header in headers if flavor(header) == "VOLUME"), headers[0])
        width_mm, columns = volume.get("ImagedVolumeWidth"), volume.get("TotalPixelMatrixColumns")
        # Of the finest level alone: others have their own numbers of columns.
        other_um = 1000 * float(width_mm) / columns if width_mm and columns == base.size.width else None
        notes += doubts_of(mpp, other_um=other_um)
        paths_of_light = int(headers[0].get("NumberOfOpticalPaths") or 1)
        if paths_of_light > 1:
            notes = (*notes, told(OTHER_LIGHTS, n=paths_of_light))
        is_dropped = {flavor(header) for header in headers}.intersection(_IDENTIFYING)
        self._info = SlideInfo(
            format="dicom", levels=levels, mpp=mpp, notes=notes,
            z_um=tuple(sorted(base.focal_planes)) or (0.0,),
            removed=tuple(f"{k.lower()} picture" for k in sorted(is_dropped)),
        )  # fmt: skip
        self._places: dict[tuple[int, float], NDArray[np.bool_] | None] = {}
        missing = self._missing(0, self._info.z_um[0])
        if missing is not None:
            note = told(MISSING_TILES, share=f"{missing.mean():.0%}")
            self._info = replace(self._info, notes=(*notes, note))
        self._range: tuple[float, float] | None = None
        if int(headers[0].get("BitsAllocated") or 8) > 8:
            self._range = self._stretch()

    @property
    def info(self) -> SlideInfo:
        """Its technical facts."""
        return self._info

    def read_region(self, x: int, y: int, width: int, height: int, *, level: int, z_um: float = 0.0) -> Picture:
        """Read pixels; see `SlideReader`."""
        place = self._info.levels[level]
        left, top, inner_width, inner_height = inner_box(place, x, y, width, height)
        if not inner_width or not inner_height:
            return paste(place, x, y, width, height, np.empty((0, 0, 3), np.uint8))
        known = self._levels[level].focal_planes or self._info.z_um  # a coarse level can have fewer
        plane = min(known, key=lambda place_um: abs(place_um - z_um))
        inside = to_rgb(self._raw(left, top, inner_width, inner_height, level, plane), self._range)
        is_missing = self._is_missing(left, top, inner_width, inner_height, level, plane)
        if is_missing.any():
            inside = np.where(is_missing[..., None], np.array(OUTSIDE, np.uint8), inside)
        return paste(place, x, y, width, height, inside)

    def close(self) -> None:
        """Close the files."""
        self._slide.close()

    def _raw(self, left: int, top: int, width: int, height: int, level: int, z_um: float) -> NDArray[np.generic]:
        try:
            return np.asarray(
                self._slide.read_region((left, top), self._levels[level].level, (width, height), z=z_um, as_array=True)
            )
        except _wsidicom_errors() as error:
            raise UnreadableFile(f"damaged: {type(error).__name__}; {WAY_OUT}") from error

    def _missing(self, level: int, z_um: float) -> NDArray[np.bool_] | None:
        """Return which tiles, shape (rows, columns), have no frame (TILED_SPARSE, PS3.3 C.8.12.14); None: all have."""
        key = (level, z_um)
        if key not in self._places:
            image = self._levels[level].get_instance(z_um).image_data
            planes = getattr(image.tiles, "planes", {})  # an index of full tilings has none
            plane = planes.get((z_um, image.default_path))
            missing = None if plane is None else np.asarray(plane.plane.T < 0)
            self._places[key] = missing if missing is not None and missing.any() else None
        return self._places[key]

    def _is_missing(self, left: int, top: int, width: int, height: int, level: int, z_um: float) -> NDArray[np.bool_]:
        """Return where a region shows no frame: wsidicom paints it white like glass, or black where it is grey."""
        missing = self._missing(level, z_um)
        if missing is None:
            return np.zeros((1, 1), np.bool_)
        tile = self._levels[level].tile_size
        rows, columns = np.arange(top, top + height) // tile.height, np.arange(left, left + width) // tile.width
        return np.asarray(missing[np.ix_(rows, columns)])

    def _stretch(self) -> tuple[float, float]:
        coarse, level, z_um = self._info.levels[-1], len(self._info.levels) - 1, self._info.z_um[0]
        box = (0, 0, min(coarse.width_px, 2048), min(coarse.height_px, 2048))
        values, is_missing = self._raw(*box, level, z_um), self._is_missing(*box, level, z_um)
        values = values[~is_missing] if is_missing.any() and not is_missing.all() else values
        return float(values.min()), float(max(values.max(), values.min() + 1))


class StitchedReader:
    """One-instance slide whose header lacks what readers need: frames are laid out row by row.

    Only where that is certain: as many frames as tiles cover the slide, one focal plane.

    Args:
        path: The instance.

    Raises:
        UnreadableFile: The frames do not cover the slide exactly once.
    """

    def __init__(self, path: Path) -> None:
        header = read_header(path)
        if not {"TotalPixelMatrixColumns", "TotalPixelMatrixRows", "Rows", "Columns"}.issubset(header.dir()):
            raise UnreadableFile(f"DICOM without TotalPixelMatrixColumns or Rows: not a whole slide; {WAY_OUT}")
        self._path = path
        self._tile = (int(header.Columns), int(header.Rows))
        size = (int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows))
        self._columns, rows = -(-size[0] // self._tile[0]), -(-size[1] // self._tile[1])
        frames = int(header.get("NumberOfFrames") or 1)
        if frames != self._columns * rows:
            raise UnreadableFile(
                f"DICOM with {frames} frames where {self._columns * rows} tiles cover the slide, "
                f"and no attribute that tells their places; {WAY_OUT}"
            )
        if int(header.get("BitsAllocated") or 8) > 8:
            raise UnreadableFile(f"DICOM of 16 bits whose header lacks what readers need; {WAY_OUT}")
        refuse_unknown_compression(header)
        self._header = header
        missing = [name for name in ("ImageType", "DimensionOrganizationType") if name not in header]
        lacking = " and ".join(missing) or "what readers need"
        width_mm = float(header.get("ImagedVolumeWidth") or 0)
        self._info = SlideInfo(
            format="dicom", levels=(Level(width_px=size[0], height_px=size[1], downsample=1.0),),
            mpp=plausible_mpp(1000 * width_mm / size[0]),
            notes=(told(LAID_OUT, names=lacking, n=frames),),
        )  # fmt: skip

    @property
    def info(self) -> SlideInfo:
        """Its technical facts."""
        return self._info

    def read_region(self, x: int, y: int, width: int, height: int, *, level: int, z_um: float = 0.0) -> Picture:
        """Read pixels; see `SlideReader`."""
        del z_um
        place = self._info.levels[level]
        left, top, inner_width, inner_height = inner_box(place, x, y, width, height)
        inside = np.empty((inner_height, inner_width, 3), np.uint8)
        tile_width, tile_height = self._tile
        for row in range(top // tile_height, -(-(top + inner_height) // tile_height) if inner_height else 0):
            for column in range(left // tile_width, -(-(left + inner_width) // tile_width) if inner_width else 0):
                tile = _true_colors(self._path, self._header, row * self._columns + column)
                at_x, at_y = column * tile_width, row * tile_height
                x0, x1 = max(left, at_x), min(left + inner_width, at_x + tile_width)
                y0, y1 = max(top, at_y), min(top + inner_height, at_y + tile_height)
                inside[y0 - top : y1 - top, x0 - left : x1 - left] = tile[y0 - at_y : y1 - at_y, x0 - at_x : x1 - at_x]
        return paste(place, x, y, width, height, inside)

    def close(self) -> None:
        """Nothing is kept open."""


def read_single(path: Path) -> Picture:
    """Read a DICOM picture of one frame.

    Returns:
        RGB, shape (H, W, 3), uint8.

    Raises:
        UnreadableFile: It has several frames, or cannot be decoded.
    """
    header = read_header(path)
    kind = UID(str(header.get("SOPClassUID", ""))).name[:64] or "unknown kind"
    if not header.get("Rows"):
        raise UnreadableFile(f"DICOM without a picture ({kind}); leave it out")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise UnreadableFile(
            f"DICOM with {frames} frames that is not a whole slide ({kind}); export each frame, or leave it out"
        )
    refuse_unknown_compression(header)
    return _true_colors(path, header, 0)


def _true_colors(path: Path, header: Dataset, index: int) -> Picture:
    """Decode a frame; 16-bit grey is stretched, a palette is looked up, and where zero is white it is turned over."""
    kind = str(header.get("PhotometricInterpretation") or "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = pixel_array(path, index=index)
        if kind == "PALETTE COLOR":
            values = apply_color_lut(values, header)
            values = values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
    span = (float(values.min()), float(max(values.max(), values.min() + 1))) if values.dtype != np.uint8 else None
    picture = to_rgb(values, span)
    return 255 - picture if kind == "MONOCHROME1" else picture


def to_rgb(values: NDArray[np.generic], span: tuple[float, float] | None) -> Picture:
    """Return RGB of decoded values, shape (H, W) or (H, W, 1 or 3); 16-bit ones are stretched from `span` to 0..255."""
    if span is not None:
        stretched = (np.asarray(values, np.float64) - span[0]) / (span[1] - span[0]) * 255
        values = np.clip(stretched.round(), 0, 255).astype(np.uint8)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    return np.asarray(values[..., :3], np.uint8)


def ycc_to_rgb(picture: Picture) -> Picture:
    """Return the colours of frames that were taken for RGB but hold Y, Cb, Cr."""
    return np.asarray(cv2.cvtColor(picture[..., [0, 2, 1]], cv2.COLOR_YCrCb2RGB), np.uint8)
