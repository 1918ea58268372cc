"""De-identified copies of slides: headers cleaned in the sandbox, pixels byte by byte.

    <home>/slides/<slide>/0001.dcm ...     DICOM, one file for each instance
    <home>/slides/<slide>/0001.svs         SVS, NDPI, TIFF: levels only, tags by a list; see `clean_tiff`
    <home>/slides/<slide>/0001.tif         every other format: its pixels, compressed anew; see `recode`

Written as a draft, read again and compared with the original, and renamed when whole.
"""

import fcntl
import hashlib
import hmac
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from datasets.crops import Picture
from datasets.decoded import CleanTiff
from datasets.errors import UnreadableFile
from datasets.files import sync_folder
from datasets.readers.base import SlideInfo
from datasets.recode import write_anew
from datasets.sandbox import Decoder

_CHUNK_BYTES = 1 << 20
_DRAFT = ".draft-"
_FRESH_SECONDS = 60.0
"""A younger draft may be one that another run has made but not locked yet."""
_COPIED_AS_THEY_ARE = ("aperio", "hamamatsu", "generic-tiff")
_ANEW = ".anew.tif"
_LOOK_PX = 256
_LOOK_AT = ((0.5, 0.5), (0.382, 0.618))
"""Places at which copies are compared, as shares of width and height."""
_MOST_DIFFERENCE = 6.0
"""Mean difference of a copy that was compressed anew, of 255."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyReport:
    """What was left out of the copies."""

    removed: Counter[str]
    """Kinds of what was removed, and in how many files."""
    notes: tuple[str, ...]


def copy_folder(home: Path, slide_id: str) -> Path:
    """Return where a slide's copies lie."""
    return home / "slides" / slide_id


def copies_of(home: Path, slide_id: str) -> list[Path]:
    """Return a slide's de-identified files in order; empty for what is only referred to."""
    return sorted(copy_folder(home, slide_id).glob("[0-9][0-9][0-9][0-9].*"))


def dicom_copies_of(home: Path, slide_id: str) -> list[Path]:
    """Return a slide's de-identified DICOM instances (see `deidentify`) in order; empty for other formats."""
    return sorted(copy_folder(home, slide_id).glob("*.dcm"))


def is_exact(home: Path, slide_id: str) -> bool:
    """Return whether a slide's copies hold every compressed pixel of its original."""
    copies = copies_of(home, slide_id)
    return bool(copies) and not any(path.name.endswith(_ANEW) for path in copies)


def copy_dicom(decoder: Decoder, paths: Sequence[Path], home: Path, slide_id: str, secret_key: bytes) -> CopyReport:
    """Copy the instances of a slide without anything that identifies; see `deidentify`.

    Args:
        decoder: Where the headers are read and cleaned.
        paths: The instances.
        home: The workspace.
        slide_id: The slide's study code.
        secret_key: The study's key; pseudonyms and UIDs are made with a key derived from it.

    Raises:
        UnreadableFile: An instance cannot be cleaned; nothing is left behind.
    """
    key = hmac.new(secret_key, b"dicom", hashlib.sha256).digest()
    removed: Counter[str] = Counter()
    notes: dict[str, None] = {}
    with _draft(copy_folder(home, slide_id)) as draft:
        for number, path in enumerate(paths, start=1):
            clean = decoder.deidentify(path, key)
            with path.open("rb") as source, (draft / f"{number:04d}.dcm").open("wb") as stream:
                stream.write(clean.header)
                _copy_range(source, stream, clean.pixels[0], clean.pixels[1] - clean.pixels[0])
                _sync(stream)
            removed.update(f"DICOM {keyword}" for keyword in clean.removed)
            notes |= dict.fromkeys(clean.notes)
    return CopyReport(removed=removed, notes=tuple(notes))


def copy_scan(decoder: Decoder, path: Path, home: Path, slide_id: str, info: SlideInfo) -> CopyReport:
    """Copy a slide that is no DICOM: its levels and nothing else.

    SVS, NDPI and TIFF keep their compressed pixels byte for byte; the others, and what of these cannot be copied in
    parts, are compressed anew.

    Args:
        decoder: Where it is read.
        path: The slide.
        home: The workspace.
        slide_id: The slide's study code.
        info: From `decoder.open_slide`.

    Raises:
        UnreadableFile: It cannot be read, or the copy is not what the original is; nothing is left behind.
    """
    clean: CleanTiff | None = None
    notes: tuple[str, ...] = ()
    reason = f"{info.format} has no clean copy of its own kind"
    if info.format in _COPIED_AS_THEY_ARE:
        try:
            clean = decoder.clean_tiff(path)
        except UnreadableFile as error:
            reason = error.reason
    if clean is None and len(info.z_um) > 1:
        raise UnreadableFile(
            f"{reason}, and a copy that is compressed anew would lose its focal planes; "
            "take it in without --copy and --move"
        )
    if clean is None:
        notes = (f"{reason}; its pixels were compressed anew (JPEG) into a plain TIFF",)
    with _draft(copy_folder(home, slide_id)) as draft:
        copy = draft / f"0001{clean.suffix_name if clean else _ANEW}"
        if clean:
            _write_clean(copy, path, clean)
        else:
            write_anew(copy, decoder, path, info)
        compare_copies(decoder, [path], [copy], most=0.0 if clean else _MOST_DIFFERENCE)
    return CopyReport(removed=Counter(clean.removed.keys() if clean else ()), notes=notes)


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Give a folder to write into that takes the place of `folder` when all went well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_lost_drafts(folder.parent)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent))
    held = _hold(draft)
    try:
        yield draft
        if folder.exists():
            shutil.rmtree(folder)
        draft.chmod(0o755)
        sync_folder(draft)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if held is not None:
            os.close(held)
    sync_folder(folder.parent)


def _hold(draft: Path) -> int | None:
    """Lock a draft as long as this process works on it; None where somebody holds it, or nothing can be locked."""
    number = os.open(draft, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        return None
    return number


def _remove_lost_drafts(folder: Path) -> None:
    """Remove what killed runs have left: as large as a scan each, and hidden."""
    for draft in folder.glob(f"{_DRAFT}*"):
        with suppress(OSError):  # another run has just finished it
            if time.time() - draft.stat().st_mtime > _FRESH_SECONDS and (held := _hold(draft)) is not None:
                shutil.rmtree(draft, ignore_errors=True)
                os.close(held)


def _write_clean(target: Path, original: Path, clean: CleanTiff) -> None:
    with original.open("rb") as source, target.open("wb") as stream:
        stream.write(clean.prefix)
        for start, length in clean.ranges.tolist():
            if start < 0:
                stream.write(bytes(length))
            else:
                _copy_range(source, stream, start, length)
        stream.write(clean.suffix)
        _sync(stream)


def _copy_range(source: BinaryIO, stream: BinaryIO, start: int, length: int) -> None:
    source.seek(start)
    while length:
        chunk = source.read(min(length, _CHUNK_BYTES))
        if not chunk:
            raise UnreadableFile("it became shorter while it was read")
        stream.write(chunk)
        length -= len(chunk)


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def compare_copies(decoder: Decoder, originals: Sequence[Path], copies: Sequence[Path], *, most: float = 0.0) -> None:
    """Hold a slide's copies against its originals: facts, and pixels of every level and plane.

    Args:
        decoder: Where both are read.
        originals: The slide's files.
        copies: Theirs.
        most: Largest mean difference of the pixels looked at.

    Raises:
        UnreadableFile: The copies cannot be read or are not the same slide.
    """
    info = decoder.open_slide(originals)
    try:
        found = decoder.open_slide(copies)
    except UnreadableFile as error:
        raise UnreadableFile(f"its clean copy cannot be read ({error.reason})") from error
    if [(v.width_px, v.height_px) for v in found.levels] != [(v.width_px, v.height_px) for v in info.levels]:
        raise UnreadableFile("its clean copy has other levels")
    if found.z_um != info.z_um:
        raise UnreadableFile("its clean copy has other focal planes")
    if info.mpp is not None and (found.mpp is None or abs(found.mpp / info.mpp - 1) > 1e-3):
        raise UnreadableFile("its clean copy has another scale")
    for index, level in enumerate(info.levels):
        side = (min(_LOOK_PX, level.width_px), min(_LOOK_PX, level.height_px))
        for across, down in _LOOK_AT:
            x, y = (round(size * share) for size, share in zip(info.size, (across, down), strict=True))
            for z_um in info.z_um:
                one, other = (
                    decoder.read_region(paths, x, y, *side, level=index, z_um=z_um) for paths in (originals, copies)
                )
                if _difference(one, other) > most:
                    raise UnreadableFile("its clean copy has other pixels")


def remove_originals(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Remove files of which the study has every pixel; return those that the system keeps, with the reason."""
    kept = []
    for path in paths:
        try:
            path.unlink()
        except OSError as error:  # a share that is read-only, a folder of another account
            kept.append((path, f"its copy is whole, but it cannot be removed ({error.strerror}): remove it yourself"))
    return kept


def _difference(one: Picture, other: Picture) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())
