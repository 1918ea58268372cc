"""A public set's archive onto this machine: the one verb that connects out, and only to the address that is shown.

The bytes are checked against a sum before anything is unpacked, and unpacked by hand: regular files below the folder,
no links, no more than a set can be. Nothing else of the program imports this.
"""

import hashlib
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from datasets.errors import DatasetError
from datasets.public_sets import PUBLIC_SETS, PublicSet

_CHUNK_BYTES = 1 << 20
_MOST_ARCHIVE_BYTES = 20 << 30
_MOST_UNPACKED_BYTES = 60 << 30
_MOST_FILES = 200_000
_SECONDS = 60
"""Without a byte."""
_DIGITS = 64

OnBytes = Callable[[int, int], None]


def _no_bar(done: int, total: int) -> None:
    del done, total


class FetchError(DatasetError):
    """An archive that cannot be fetched, or is not what its sum says."""


def set_named(name: str) -> PublicSet:
    """Return a set by its name, small or capital letters, with or without spaces.

    Raises:
        FetchError: There is none; names those that are.
    """
    wanted = name.casefold().replace(" ", "")
    known = {public.name.casefold().replace(" ", ""): public for public in PUBLIC_SETS}
    if wanted not in known:
        raise FetchError(f"{name}: not a set that is known here; there are {', '.join(p.name for p in PUBLIC_SETS)}.")
    return known[wanted]


def fetch(
    public: PublicSet,
    folder: Path,
    *,
    address: str = "",
    sha256: str = "",
    on_bytes: OnBytes = _no_bar,
) -> tuple[Path, int]:
    """Fetch a set's archive, check it and unpack it.

    Args:
        public: The set.
        folder: Where it is unpacked; new or empty.
        address: Of the archive, http or https; empty: the set's own.
        sha256: What the archive must be; empty: the set's own sum.
        on_bytes: Called with (bytes done, bytes in all or 0).

    Returns:
        The folder and how many files it holds.

    Raises:
        FetchError: No address or sum is known, the server does not answer, or the bytes are others.
    """
    address, sha256 = address or public.archive, (sha256 or public.sha256).lower()
    if not address:
        raise FetchError(
            f"{public.name}: no lasting address of its archive is known; get it from {public.page}, unpack it "
            "and give its folder to ingest, or give --url and --sha256."
        )
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise FetchError(f"{address}: not an http or https address.")
    if len(sha256) != _DIGITS or not set(sha256) <= set("0123456789abcdef"):
        raise FetchError(
            f"{public.name}: no SHA-256 of its archive is known here; give one that you trust with --sha256, "
            f"or get it from {public.page} by hand."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FetchError(f"{folder}: is not empty; give a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".fetch-", dir=folder.parent))
    try:
        archive = draft / "archive"
        _download(address, archive, sha256, on_bytes)
        count = _unpack(archive, draft / "files")
        if folder.exists():
            folder.rmdir()
        (draft / "files").rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder, count


def _download(address: str, target: Path, sha256: str, on_bytes: OnBytes) -> None:
    digest, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer, target.open("wb") as stream:  # noqa: S310  # http(s)
            total = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(_CHUNK_BYTES):
                done += len(chunk)
                if done > _MOST_ARCHIVE_BYTES:
                    raise FetchError(f"{address}: more than {_MOST_ARCHIVE_BYTES >> 30} GB; no set is so large.")
                digest.update(chunk)
                stream.write(chunk)
                on_bytes(done, total)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise FetchError(f"{address}: {reason}; get the archive by hand and give its folder to ingest.") from error
    if total and done != total:
        raise FetchError(f"{address}: cut off after {done} of {total} bytes; fetch it again.")
    if digest.hexdigest() != sha256:
        raise FetchError(f"{address}: its SHA-256 is {digest.hexdigest()}, not {sha256}; nothing was unpacked.")


def _unpack(archive: Path, folder: Path) -> int:
    """Unpack the regular files of a ZIP below a folder; returns how many.

    Raises:
        FetchError: Larger than any set, damaged, or pointing outside of itself.
    """
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as found:
            members = [member for member in found.infolist() if not member.is_dir()]
            if len(members) > _MOST_FILES or sum(member.file_size for member in members) > _MOST_UNPACKED_BYTES:
                raise FetchError("the archive holds more than any set does; nothing was unpacked.")
            for member in members:
                _unpack_one(found, member, folder)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise FetchError("the archive is not a whole ZIP file; unpack it by hand.") from error
    return len(members)


def _unpack_one(found: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    place = PurePosixPath(member.filename.replace("\\", "/"))
    is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
    if place.is_absolute() or ".." in place.parts or is_link:
        raise FetchError(f"the archive holds {member.filename!r}, which points outside of it; nothing was kept.")
    target = folder.joinpath(*place.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with found.open(member) as source, target.open("xb") as stream:
        while chunk := source.read(min(_CHUNK_BYTES, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise FetchError(f"the archive holds {member.filename!r}, larger than it says; nothing was kept.")
            stream.write(chunk)
