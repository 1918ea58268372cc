"""What lies in a hospital's folder: its files, without what systems leave there, and what cannot be looked into."""

import os
from pathlib import Path

_LEFT_BY_SYSTEMS = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information",
    "lost+found",
}  # fmt: skip
"""In small letters. Synology's @eaDir holds small pictures, also of labels."""
_LOCKS = "~$"
"""Office programs mark what they have open by it."""


def is_left_out(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or a system's own."""
    return name.startswith((".", _LOCKS)) or name.lower() in _LEFT_BY_SYSTEMS


def files_below(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the files of a folder and of those in it, in order; links to folders are not followed.

    Returns:
        The files, links among them, and folders that cannot be looked into with the reason: a silent gap would look
        like a folder without slides.
    """
    found: list[Path] = []
    closed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not is_left_out(name)]
        found += [path for name in names if not is_left_out(name) and (path := Path(place, name)).is_file()]
    return sorted(found), [(Path(error.filename or folder), unreadable(error)) for error in closed]


def unreadable(error: OSError) -> str:
    """Return the sentence for what the system does not give."""
    reason = error.strerror or "the system gives no reason"
    return f"cannot be read ({reason}); give this account the right to read it or connect its share, and run this again"
