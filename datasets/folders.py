"""What lies in a hospital's folder: its files, without what systems leave there, and what cannot be looked into."""

import errno
import os
from pathlib import Path

_LEFT_BY_SYSTEMS = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information",
    "lost+found",
}  # fmt: skip
"""In small letters. Synology's @eaDir holds small pictures, also of labels."""
_LINKED = "a link to a folder, and links are not followed; give the folder itself"
_LOCKS = "~$"
"""Office programs mark what they have open by it."""


def is_left_out(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or a system's own."""
    return name.startswith((".", _LOCKS)) or name.lower() in _LEFT_BY_SYSTEMS


def files_below(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the files of a folder and of those in it, in order; links to folders are not followed.

    Returns:
        The files, links among them, and folders that are not looked into with the reason: a silent gap would look
        like a folder without slides.
    """
    found: list[Path] = []
    closed: list[OSError] = []
    linked: list[tuple[Path, str]] = []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not is_left_out(name)]
        linked += [(path, _LINKED) for name in folders if (path := Path(place, name)).is_symlink()]
        found += [path for name in names if not is_left_out(name) and (path := Path(place, name)).is_file()]
    return sorted(found), [*((Path(error.filename or folder), unreadable(error)) for error in closed), *linked]


def is_no_room(error: OSError) -> bool:
    """Return whether something could not be written for want of room: reading a file never fails so."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def unreadable(error: OSError) -> str:
    """Return the sentence for what the system does not give."""
    reason = error.strerror or "the system gives no reason"
    return f"cannot be read ({reason}); give this account the right to read it or connect its share, and run this again"
