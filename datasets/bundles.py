"""A hospital's folder sorted into slides and pictures: DICOM instances belong together, by their headers.

The bytes decide. What a header says is asked from the sandbox; this module opens no file itself
beyond its first bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets.companions import is_known_scan
from datasets.decoded import DicomPart
from datasets.errors import UnreadableFile
from datasets.folders import unreadable
from datasets.public import FieldFile
from datasets.sandbox import Decoder

_FLAT_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"RIFF")
_IDENTIFYING = ("LABEL", "OVERVIEW")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanFiles:
    """The files of one scanned slide, and the points that are known in it."""

    paths: tuple[Path, ...]
    points: FieldFile


@dataclass(slots=True)
class Bundles:
    """What a list of files holds."""

    scans: list[ScanFiles] = field(default_factory=list)
    pictures: list[FieldFile] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)
    dropped: list[tuple[Path, str]] = field(default_factory=list)
    """Instances that hold nothing but what identifies a patient, with their kind."""


def sort_files(
    files: Sequence[FieldFile], decoder: Decoder,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Bundles:  # fmt: skip
    """Sort files into slides and pictures.

    Args:
        files: Regular files.
        decoder: Where headers are read.
        on_progress: Called with (files done, files in all).
    """
    bundles = Bundles()
    instances: dict[tuple[Path, str], list[tuple[FieldFile, DicomPart]]] = {}
    for number, file in enumerate(files, start=1):
        try:
            kind = _kind(file.path, decoder)
        except UnreadableFile as error:
            bundles.refused.append((file.path, error.reason))
        except OSError as error:
            bundles.refused.append((file.path, unreadable(error)))
        else:
            if isinstance(kind, DicomPart) and kind.is_wsi:
                instances.setdefault((file.path.parent, kind.series), []).append((file, kind))
            elif kind is True:
                bundles.scans.append(ScanFiles(paths=(file.path,), points=file))
            else:
                bundles.pictures.append(file)
        on_progress(number, len(files))
    for group in instances.values():
        _add_dicom(bundles, group)
    return bundles


def _kind(path: Path, decoder: Decoder) -> bool | DicomPart:
    with path.open("rb") as stream:
        head = stream.read(16)
    if is_known_scan(path):
        return True
    if head.startswith(_FLAT_MARKS):
        return False
    return decoder.is_scan(path)


def _add_dicom(bundles: Bundles, group: list[tuple[FieldFile, DicomPart]]) -> None:
    """Put the instances of one series together.

    Equal sizes without a concatenation are focal planes where they lie at different depths of one glass, else slides of
    their own.
    """
    kept = []
    for file, part in group:
        if part.flavor in _IDENTIFYING:
            bundles.dropped.append((file.path, f"{part.flavor.lower()} picture"))
        else:
            kept.append((file, part))
    levels = [part for _, part in kept if not part.concatenation and part.flavor != "THUMBNAIL"]
    is_one_glass = len({part.frame for part in levels}) == 1
    places = {(part.size, part.z_um if is_one_glass else 0.0) for part in levels}
    if len(places) < len(levels):
        bundles.scans += [ScanFiles(paths=(file.path,), points=file) for file, _ in kept]
    elif any(part.flavor != "THUMBNAIL" for _, part in kept):
        paths = tuple(file.path for file, _ in kept)
        points = max((file for file, _ in kept), key=lambda file: len(file.points))
        bundles.scans.append(ScanFiles(paths=paths, points=points))
    else:
        bundles.refused += [
            (file.path, "a thumbnail without its slide; give the folder with all instances of the scan")
            for file, _ in kept
        ]
