"""A folder as one ZIP, which any system opens: for who fetches an export through the browser or the HTTP API."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

_STORED = {".png", ".dcm", ".tar"}
"""Pictures are packed already, points hardly get smaller; the rest is text."""
_MODE = 0o644 << 16


def pack(folder: Path, names: Iterable[str], out: Path) -> None:
    """Move a folder's files into a ZIP; the same files give the same bytes.

    Each file is removed when it is packed, so the disk holds them once. Memory grows by half a kilobyte a file:
    a ZIP ends with the list of its files.

    Args:
        folder: Where the files lie.
        names: The files relative to it, in the order in which they are packed.
        out: The ZIP, which does not exist yet.

    Raises:
        OSError: The disk is full.
    """
    with zipfile.ZipFile(out, "x") as packed:
        for name in names:
            told = zipfile.ZipInfo(name)  # of 1980: no time stands in the bytes
            told.compress_type = zipfile.ZIP_STORED if Path(name).suffix in _STORED else zipfile.ZIP_DEFLATED
            told.external_attr, told.create_system = _MODE, 3
            told.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, packed.open(told, "w") as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
            (folder / name).unlink()
