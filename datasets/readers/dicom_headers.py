"""What DICOM headers tell of instances before a pixel is read: what belongs together, and what cannot be read."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pydicom.errors
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder

from datasets.errors import UnreadableFile
from datasets.readers import htj2k

WSI_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"


def read_header(path: Path) -> Dataset:
    """Return a DICOM header without its pixels.

    Raises:
        UnreadableFile: It is not DICOM, or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a value that is too long is no reason to refuse a slide
            return pydicom.dcmread(path, stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError as error:
        raise UnreadableFile("not a DICOM file") from error


def flavor(header: Dataset) -> str:
    """Return the third value of ImageType: VOLUME, THUMBNAIL, LABEL or OVERVIEW; empty when absent."""
    kinds = header.get("ImageType") or []
    return str(kinds[2]) if len(kinds) > 2 else ""


def describe(path: Path) -> dict[str, object]:
    """Return what is needed to put instances together: nothing that a person wrote."""
    header = read_header(path)
    return {
        "series": str(header.get("SeriesInstanceUID", "")),
        "is_wsi": str(header.get("SOPClassUID", "")) == WSI_CLASS,
        "flavor": flavor(header),
        "size": [int(header.get("TotalPixelMatrixColumns") or 0), int(header.get("TotalPixelMatrixRows") or 0)],
        "concatenation": str(header.get("ConcatenationUID", "")),
        "frame": str(header.get("FrameOfReferenceUID", "")),
        "z_um": _z_um(header),
    }


def _z_um(header: Dataset) -> float:
    """Return the focal plane of the first frame (TILED_FULL: of the whole matrix), 0 where it is not told."""
    frames = header.get("PerFrameFunctionalGroupsSequence") or []
    places = (frames[0].get("PlanePositionSlideSequence") if frames else None) or []
    for place in (*places, *(header.get("TotalPixelMatrixOriginSequence") or [])):
        if (told := place.get("ZOffsetInSlideCoordinateSystem")) is not None:
            return float(told)
    return 0.0


def refuse_missing_parts(headers: Sequence[Dataset]) -> None:
    """Refuse a concatenation (PS3.3 C.7.6.16.2.2.4) that is not whole.

    Raises:
        UnreadableFile: An instance of it is not there.
    """
    numbers: dict[str, set[int]] = {}
    totals: dict[str, int] = {}
    for header in headers:
        if uid := str(header.get("ConcatenationUID") or ""):
            number = int(header.get("InConcatenationNumber") or 0)
            numbers.setdefault(uid, set()).add(number)
            totals[uid] = max(totals.get(uid, 0), number, int(header.get("InConcatenationTotalNumber") or 0))
    for uid, total in totals.items():
        missing = sorted(set(range(1, total + 1)) - numbers[uid])
        if missing:
            raise UnreadableFile(
                f"part {missing[0]} of the {total} files that hold one level is missing; "
                "give the folder with all instances of the scan"
            )


def refuse_unknown_compression(header: Dataset) -> None:
    """Refuse frames that pydicom cannot decode here: they are not damaged.

    Raises:
        UnreadableFile: With the compression's name.
    """
    syntax = header.file_meta.TransferSyntaxUID
    htj2k.register()
    try:
        is_known = get_decoder(syntax).is_available
    except NotImplementedError:
        is_known = False
    if not is_known:
        raise UnreadableFile(
            f"compressed as {syntax.name[:64]}, which is not decoded here; export it uncompressed or as JPEG"
        )
