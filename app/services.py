"""Where the parts meet: a workspace opened for work, by pages, routes and verbs."""

from dataclasses import dataclass
from pathlib import Path

import datasets.catalog  # noqa: F401  (the tables must be known before the database is made)
import labeling.records  # noqa: F401  (likewise)
from app.settings import Settings
from datasets.bethesda import LabelSet
from datasets.db import Database
from datasets.embeddings import EmbeddingStore, current_store
from datasets.errors import DatabaseError
from datasets.identity import load_or_make_key
from labeling import audit, migrations


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """An open workspace."""

    home: Path
    settings: Settings
    database: Database
    secret_key: bytes

    @classmethod
    def open(cls, home: Path) -> "Services":
        """Open a workspace, making its folder, key and database on the first call.

        A workspace of an older version is brought up to date.

        Raises:
            SettingsError: The settings file makes no sense.
            DatabaseError: The database is of a newer version.
        """
        settings = Settings.load(home)
        home.mkdir(parents=True, exist_ok=True)
        database = Database(home / "catalog.sqlite", migrations.upgrade)
        audit.anchor_missing(database)
        return cls(
            home=home,
            settings=settings,
            database=database,
            secret_key=load_or_make_key(home / "secret.key"),
        )

    @classmethod
    def open_existing(cls, home: Path) -> "Services":
        """Open a workspace that must be there already.

        Raises:
            DatabaseError: There is none in this folder.
        """
        if not (home / "catalog.sqlite").exists():
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

    def store(self) -> EmbeddingStore | None:
        """Open the current embedding store, None before the first `embed`."""
        return current_store(self.embeddings_folder)
