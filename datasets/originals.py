"""Which files a slide was read from: the one list that links study codes to names, kept apart.

`originals.json` in the workspace, readable by its owner alone. It is not in the database, not in
exports and not in backups of the database; deleting it makes the study one-way, at the price that
scans cannot be looked at any more.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from datasets.copies import copies_of
from datasets.errors import UnreadableFile
from datasets.files import turn_at, write_json

ORIGINALS_FILE = "originals.json"


def remember(home: Path, slide_id: str, paths: Sequence[Path]) -> None:
    """Keep which files a slide is read from; the newest place wins."""
    places = [str(path.absolute()) for path in paths]
    if _load(home).get(slide_id) != places:
        with turn_at(home / ORIGINALS_FILE):  # of two ingests at once one would drop what the other has just added
            write_json(home / ORIGINALS_FILE, {**_load(home), slide_id: places}, mode=0o600)


def forget(home: Path, slide_id: str) -> None:
    """Forget where a slide's files were: its clean copies are read from now on."""
    if slide_id in _load(home):
        with turn_at(home / ORIGINALS_FILE):
            left = {known: places for known, places in _load(home).items() if known != slide_id}
            write_json(home / ORIGINALS_FILE, left, mode=0o600)


def files_of(home: Path, slide_id: str) -> list[Path]:
    """Return the files of a scan: its de-identified copies where there are such, else the originals.

    Raises:
        UnreadableFile: They are not known, or not there any more.
    """
    copies = copies_of(home, slide_id)
    if copies:
        return copies
    places = _load(home).get(slide_id)
    if not places:
        raise UnreadableFile(f"slide {slide_id}: its files are not listed in {ORIGINALS_FILE}; ingest them again")
    paths = [Path(place) for place in places]
    if not all(os.path.isfile(path) for path in paths):  # noqa: PTH113  a stale share is an error to Path.is_file
        raise UnreadableFile(
            f"slide {slide_id}: its files are not where they were; connect their disk or share, or ingest them from "
            "their new place"
        )
    return paths


def _load(home: Path) -> dict[str, list[str]]:
    path = home / ORIGINALS_FILE
    if not path.exists():
        return {}
    known: dict[str, list[str]] = json.loads(path.read_text())
    return known
