"""How each person wants the pages: language and keys. The only writer of the table `preferences`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from datasets.db import Database, repeated
from labeling.records import Preference


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """One person's wishes."""

    language: str | None = None
    """None: the browser's."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Own keys by what they do: `answer:<category>` or `command:<name>`."""


def read(database: Database, account: str) -> Preferences:
    """Return a person's wishes; the defaults where he has stated none."""
    with database.read() as session:
        row = session.get(Preference, account)
    return Preferences() if row is None else Preferences(language=row.language, keys=row.keys)


@repeated
def store(database: Database, account: str, wanted: Preferences) -> None:
    """Keep a person's wishes; what is missing in them goes back to the default."""
    with database.write() as session:
        row = session.get(Preference, account) or Preference(account=account)
        row.language, row.keys = wanted.language, dict(wanted.keys)
        session.add(row)
