"""Where the parts meet: a workspace opened for work, by pages, routes and verbs."""

from dataclasses import dataclass
from pathlib import Path

import labeling.records  # noqa: F401  (its tables must be known before the database is made)
from app.settings import Settings, database_url
from datasets import catalog
from datasets.bethesda import LabelSet
from datasets.db import Database
from datasets.embeddings import EmbeddingStore, current_store
from datasets.errors import DatabaseError
from datasets.identity import load_or_make_key
from labeling import audit, migrations

DATABASE_FILE = "catalog.sqlite"
KEY_FILE = "secret.key"


def is_study(home: Path) -> bool:
    """Return whether there is a study in a folder."""
    return (home / DATABASE_FILE).exists() or (home / KEY_FILE).exists()


def open_database(home: Path, settings: Settings) -> Database:
    """Open the study's database where settings and environment say that it is.

    Raises:
        DatabaseError: It cannot be opened, or folder and database belong to different studies.
    """
    url = database_url(settings.database)
    if url is None:
        return Database(home / DATABASE_FILE, migrations.upgrade)
    if (home / DATABASE_FILE).exists():
        raise DatabaseError(
            f"{home}: its study is in {DATABASE_FILE}, the settings name PostgreSQL. Move it with "
            "`cytojepa backup` and `cytojepa restore --database URL` into a new folder."
        )
    database = Database(url, migrations.upgrade, folder=home)
    if not (home / KEY_FILE).exists() and catalog.counts(database).slides:
        database.close()
        raise DatabaseError(
            f"{database.name}: holds a study, and {home} has no {KEY_FILE} for it. Name the study's own folder with "
            "--home; several machines share it."
        )
    return database


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """An open workspace."""

    home: Path
    settings: Settings
    database: Database
    secret_key: bytes

    @classmethod
    def open(cls, home: Path, *, is_built_in: bool = False) -> "Services":
        """Open a workspace, making its folder, key and database on the first call.

        A workspace of an older version is brought up to date.

        Args:
            home: Its folder.
            is_built_in: Use the database in the folder, whatever settings and environment say.

        Raises:
            SettingsError: The settings file makes no sense.
            DatabaseError: The database is of a newer version.
        """
        settings = Settings.load(home)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # cells of patients, hashes of passwords
        database = Database(home / DATABASE_FILE, migrations.upgrade) if is_built_in else open_database(home, settings)
        audit.anchor_missing(database)
        return cls(
            home=home,
            settings=settings,
            database=database,
            secret_key=load_or_make_key(home / KEY_FILE),
        )

    @classmethod
    def open_existing(cls, home: Path) -> "Services":
        """Open a workspace that must be there already.

        Raises:
            DatabaseError: There is none in this folder.
        """
        if not is_study(home):
            raise DatabaseError(f"{home}: there is no study in this folder. Name another one with --home.")
        return cls.open(home)

    @property
    def label_set(self) -> LabelSet:
        """The answers of this study."""
        return self.settings.label_set

    @property
    def embeddings_folder(self) -> Path:
        """Where the embedding stores lie."""
        return self.home / "embeddings"

    @property
    def probes_folder(self) -> Path:
        """Where the fitted probes and their suggestions lie."""
        return self.home / "probes"

    def neighbours_folder(self, fingerprint: str) -> Path:
        """Return where the index of an encoder's vectors lies; it can be made again at any time."""
        return self.home / "neighbours" / fingerprint

    def store(self) -> EmbeddingStore | None:
        """Open the current embedding store, None before the first `embed`."""
        return current_store(self.embeddings_folder)
