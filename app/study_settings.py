"""The study's settings as an admin changes them: checked, written with their comments, told in the chain of events."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from app.settings import SETTINGS_FILE, Settings
from app.words import word
from datasets.db import Database
from datasets.errors import SettingsError
from datasets.files import write_atomically
from labeling import audit

MEANING = {
    "suggestions": word("When a doctor sees the suggestion: after the answer (the safe choice), before it, or never."),
    "reads": word("How many doctors decide each cell. Two or more show where they differ, and take more time."),
    "lease_seconds": word("How many seconds a cell stays with the doctor who got it before a colleague may have it."),
    "foil_percent": word("Of 100 cells of a gallery page, how many are known ones of another category."),
    "share_uncertain": word("Parts of the queue that the probe is unsure of."),
    "share_novel": word("Parts of the queue unlike everything labelled so far."),
    "share_random": word("Parts of the queue chosen by chance; figures about suggestions rest on them."),
    "share_shared": word("Parts of the queue that a second doctor decides as well; agreement rests on them."),
    "share_gold": word("Parts of the queue with a known verdict, for a doctor's own calibration."),
    "share_repeat": word("Parts of the queue that the same doctor has decided long ago."),
}
"""What may be changed while a study runs, each with a plain sentence; the scale of the crops may not."""
TITLES = {
    "suggestions": word("When suggestions show"), "reads": word("Readers of each cell"),
    "lease_seconds": word("Seconds a cell is held"), "foil_percent": word("Foils in the gallery, per cent"),
    "share_uncertain": word("Queue: unsure"), "share_novel": word("Queue: unlike all so far"),
    "share_random": word("Queue: by chance"), "share_shared": word("Queue: for two readers"),
    "share_gold": word("Queue: known verdicts"), "share_repeat": word("Queue: repeats"),
}  # fmt: skip
"""What a page calls them; `cytojepa.toml` has their own names."""


def change_settings(home: Path, database: Database, changes: dict[str, Any], *, by: str) -> Settings:
    """Write changed settings into `cytojepa.toml`; comments and everything else in the file stay.

    The file is read when the server starts: until then the study goes on as before.

    Args:
        home: The workspace.
        database: Where the change is told.
        changes: New values by name; only those of `MEANING`.
        by: Who changes them.

    Returns:
        The settings as they will be.

    Raises:
        SettingsError: A name that may not be changed, or a value that makes no sense; nothing is written.
    """
    strangers = sorted(set(changes) - set(MEANING))
    if strangers:
        raise SettingsError(f"{strangers[0]}: not among the settings that may be changed ({', '.join(MEANING)}).")
    before = Settings.load(home)
    wanted = replace(before, **changes)
    changed = {name: value for name, value in changes.items() if getattr(before, name) != value}
    if not changed:
        return before
    path = home / SETTINGS_FILE
    if not path.exists():
        before.save(home)
    document = tomlkit.parse(path.read_text())
    study = document.setdefault("study", tomlkit.table())
    assert isinstance(study, Table)
    for name, value in changed.items():
        study[name] = value
    facts = {name: f"{getattr(before, name)} -> {value}" for name, value in changed.items()}
    with database.write() as session:
        audit.append(session, kind="settings changed", by=by, facts=facts)
    write_atomically(path, tomlkit.dumps(document).encode())
    return wanted
