"""De-identified copies of DICOM slides: clean headers from the sandbox, pixels byte by byte.

    <home>/slides/<slide>/0001.dcm ...

Written as a draft and renamed when whole. Other formats stay where they are and are referred to by
`originals`: their texts, labels and macros are never decoded.
"""

import hashlib
import hmac
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import UnreadableFile
from datasets.files import sync_folder
from datasets.sandbox import Decoder

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyReport:
    """What was left out of the copies."""

    removed: Counter[str]
    """Keywords of DICOM attributes, and in how many instances."""
    notes: tuple[str, ...]


def copy_folder(home: Path, slide_id: str) -> Path:
    """Return where a slide's copies lie."""
    return home / "slides" / slide_id


def copies_of(home: Path, slide_id: str) -> list[Path]:
    """Return a slide's de-identified files in order; empty for what is only referred to."""
    return sorted(copy_folder(home, slide_id).glob("*.dcm"))


def copy_dicom(decoder: Decoder, paths: Sequence[Path], home: Path, slide_id: str, secret_key: bytes) -> CopyReport:
    """Copy the instances of a slide without anything that identifies.

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
    folder = copy_folder(home, slide_id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    removed: Counter[str] = Counter()
    notes: dict[str, None] = {}
    try:
        for number, path in enumerate(paths, start=1):
            clean = decoder.deidentify(path, key)
            _write_instance(draft / f"{number:04d}.dcm", clean.header, path, clean.pixels)
            removed.update(clean.removed)
            notes |= dict.fromkeys(clean.notes)
        if folder.exists():
            shutil.rmtree(folder)
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(folder.parent)
    return CopyReport(removed=removed, notes=tuple(notes))


def _write_instance(target: Path, header: bytes, original: Path, pixels: tuple[int, int]) -> None:
    start, end = pixels
    with original.open("rb") as source, target.open("wb") as stream:
        stream.write(header)
        source.seek(start)
        left = end - start
        while left:
            chunk = source.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise UnreadableFile("it became shorter while it was read")
            stream.write(chunk)
            left -= len(chunk)
        stream.flush()
        os.fsync(stream.fileno())
