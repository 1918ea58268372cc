"""The study's settings: frozen, read once, passed down. The only reader of the environment."""

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import tomlkit
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.setting_comments import COMMENTS
from datasets.bethesda import BETHESDA, LABEL_SETS, Category, LabelSet
from datasets.errors import SettingsError
from datasets.files import write_atomically
from labeling.acquisition import DEFAULT_RULE, RULES
from labeling.mixture import Shares

SETTINGS_FILE = "cytojepa.toml"
DEFAULT_HOME = "cytojepa-home"
SETTINGS_VERSION = 1
"""Of the file; a change that an older program would misread makes a new one."""
BUILT_IN = "sqlite"
"""The setting `database` of a study whose database is a file in its folder."""

SuggestionMode = Literal["after", "shown", "hidden"]
_SHARES = Shares()
"""Whose defaults are the settings' defaults."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything a study can choose; the defaults are the file's defaults.

    Raises:
        SettingsError: A value outside its range, with the range.
    """

    label_set: LabelSet = BETHESDA
    """The answers that doctors can give."""
    reads: int = 1
    """How many doctors decide each cell, 1 to 5."""
    suggestions: SuggestionMode = "after"
    """When a doctor sees the suggestion: after the own answer, shown before, or hidden."""
    lease_seconds: int = 600
    """How long a cell stays with the doctor who got it."""
    crop_um: float = 64.0
    """Side of a cell's crop in micrometres."""
    crop_px: int = 256
    """Side of a cell's crop in pixels; with `crop_um` it fixes the scale for all cells."""
    foil_percent: int = 3
    """Of 100 cells of a gallery page, how many are known ones of another category."""
    share_uncertain: int = _SHARES.uncertain
    """Parts of the queue that the probe is unsure of, weighed by how rare the classes are."""
    share_novel: int = _SHARES.novel
    """Parts unlike everything labelled so far."""
    share_random: int = _SHARES.random
    """Parts chosen by chance: what figures about suggestions rest on."""
    share_shared: int = _SHARES.shared
    """Parts that a second doctor decides as well."""
    share_gold: int = _SHARES.gold
    """Parts with a known verdict, for a doctor's own calibration."""
    share_repeat: int = _SHARES.repeat
    """Parts that the same doctor has decided long ago, for his own consistency."""
    share_test: int = _SHARES.test
    """Parts of the blind test set, where `cytojepa testset` has chosen one."""
    abnormal_percent: int = 0
    """Share of probably abnormal cells in the queue, for the doctor's expectation; 0: as the rules find them."""
    exemplar_weight: float = 1.0
    """What an exemplar counts in the probe, beside 1 of a doctor's answer; 0: exemplars are only shown."""
    inbox: Sequence[str] = ()
    """Folders of the server from which the page Jobs takes files in; none: only the command line does."""
    acquisition: str = DEFAULT_RULE
    """How the uncertain cells are scored: a name of `labeling.acquisition.RULES`."""
    database: str = BUILT_IN
    """"sqlite", or where a PostgreSQL database is: postgresql://account@host/name, without a password."""

    def __post_init__(self) -> None:
        if self.suggestions not in get_args(SuggestionMode):
            raise SettingsError(
                f"suggestions = {self.suggestions!r}: use one of {', '.join(get_args(SuggestionMode))}."
            )
        for name, low, high in (
            ("reads", 1, 5), ("lease_seconds", 30, 86_400), ("crop_um", 16, 512),
            ("crop_px", 64, 1024), ("foil_percent", 0, 20), ("abnormal_percent", 0, 100), ("exemplar_weight", 0, 20),
            *((f"share_{field.name}", 0, 100) for field in fields(Shares)),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(f"{name} = {value}: use a value from {low} to {high}.")
        if self.abnormal_percent and not 0 < len(self.label_set.abnormal_ids) < len(self.label_set.class_ids):
            raise SettingsError(
                f"abnormal_percent = {self.abnormal_percent}: the label set {self.label_set.id} does not tell findings "
                "from the rest; put what is none into the group Negative, Normal or Other."
            )

        if isinstance(self.inbox, str) or not all(Path(folder).is_absolute() for folder in self.inbox):
            raise SettingsError(f'inbox = {self.inbox!r}: list whole paths, such as ["/srv/slides"].')
        if self.database != BUILT_IN and server_url(self.database).password is not None:
            raise SettingsError(
                "database: a password stands in the settings. Put it into a file that only the program reads and "
                "name that in CYTOJEPA_DATABASE_PASSWORD_FILE."
            )
        if self.acquisition not in RULES:
            raise SettingsError(f"acquisition = {self.acquisition!r}: use one of {', '.join(RULES)}.")
        try:
            _ = self.shares
        except ValueError as error:
            raise SettingsError(f"shares of the queue: {error}") from error

    @property
    def shares(self) -> Shares:
        """What a doctor's queue is mixed of."""
        return Shares(**{field.name: getattr(self, f"share_{field.name}") for field in fields(Shares)})

    @property
    def crop_mpp(self) -> float:
        """Scale of every crop in micrometres per pixel."""
        return self.crop_um / self.crop_px

    @classmethod
    def load(cls, home: Path) -> "Settings":
        """Read `cytojepa.toml` of a workspace; a missing file means the defaults.

        Raises:
            SettingsError: The file is not TOML, has an unknown key or a value that makes no sense.
        """
        path = home / SETTINGS_FILE
        if not path.exists():
            return cls()
        try:
            document = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{SETTINGS_FILE}: not valid TOML ({error}).") from error
        _check_version(document)
        study = document.get("study", {})
        known = {field.name for field in fields(cls)} | {"categories"}
        unknown = sorted(set(study) - known)
        if unknown:
            raise SettingsError(f"{SETTINGS_FILE}: unknown setting {unknown[0]}; known are {', '.join(sorted(known))}.")
        label_set = _label_set(study.pop("label_set", BETHESDA.id), study.pop("categories", None))
        try:
            return cls(label_set=label_set, **study)
        except TypeError as error:
            raise SettingsError(f"{SETTINGS_FILE}: a value has the wrong type ({error}).") from error

    def save(self, home: Path) -> None:
        """Write `cytojepa.toml` with every setting and what it means."""
        study = tomlkit.table()
        for name, comment in COMMENTS.items():
            value = self.label_set.id if name == "label_set" else getattr(self, name)
            value = list(value) if isinstance(value, tuple) else value
            study.add(name, value)
            study[name].comment(comment)
        document = tomlkit.document()
        document.add(tomlkit.comment("Settings of this CytoJEPA study."))
        document.add("version", SETTINGS_VERSION)
        document.add("study", study)
        if self.label_set != LABEL_SETS.get(self.label_set.id):
            categories = tomlkit.aot()
            for category in self.label_set.categories:
                row = {field.name: getattr(category, field.name) for field in fields(Category)}
                categories.append(tomlkit.item({**row, "covers": list(category.covers)}))
            study.add("categories", categories)
        write_atomically(home / SETTINGS_FILE, tomlkit.dumps(document).encode())


def _check_version(document: dict[str, Any]) -> None:
    version = document.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SettingsError(f"{SETTINGS_FILE}: version = {version!r}: use {SETTINGS_VERSION}.")
    if version > SETTINGS_VERSION:
        raise SettingsError(
            f"{SETTINGS_FILE}: version {version} is newer than {SETTINGS_VERSION}, which this program knows. "
            "Use the program that wrote it, or take back the backup from before the upgrade."
        )


def _label_set(name: str, rows: list[dict[str, Any]] | None) -> LabelSet:
    if rows is None:
        if name not in LABEL_SETS:
            raise SettingsError(
                f"label_set = {name!r}: known are {', '.join(LABEL_SETS)}; or list [[study.categories]]."
            )
        return LABEL_SETS[name]
    try:
        categories = tuple(Category(**{**row, "covers": tuple(row.get("covers", ()))}) for row in rows)
    except TypeError as error:
        raise SettingsError(f"{SETTINGS_FILE}: a category is incomplete ({error}).") from error
    return LabelSet(id=name, name=name, categories=categories)


def name_database(home: Path, setting: str) -> None:
    """Note in a workspace's settings where its database is; everything else stays as it was written."""
    path = home / SETTINGS_FILE
    document = tomlkit.parse(path.read_text()) if path.exists() else tomlkit.document()
    if "study" not in document:
        document.add("study", tomlkit.table())
    study: Any = document["study"]
    if study.get("database", BUILT_IN) != setting:
        study["database"] = setting
        write_atomically(path, tomlkit.dumps(document).encode())


def server_url(text: str) -> URL:
    """Read the address of a PostgreSQL database.

    Raises:
        SettingsError: It is none.
    """
    try:
        url = make_url(text)
        is_known = url.get_backend_name() == "postgresql" and bool(url.database)
    except ArgumentError:
        is_known = False
    if not is_known:
        # The text is not told: it may hold a password.
        raise SettingsError("database: use sqlite, or postgresql://account@host/name.")
    return url.set(drivername="postgresql")


def database_url(setting: str, *, role: str = "") -> URL | None:
    """Return where the study's database is, None for the built-in one.

    The environment comes first: CYTOJEPA_DATABASE, or the file named in CYTOJEPA_DATABASE_FILE; and
    for the password CYTOJEPA_DATABASE_PASSWORD, or the file named in CYTOJEPA_DATABASE_PASSWORD_FILE.
    Without one, libpq looks into ~/.pgpass.

    Args:
        setting: Of `Settings.database`.
        role: "OWNER" looks at CYTOJEPA_DATABASE_OWNER first, for whoever makes the tables.
    """
    own = _secret(f"CYTOJEPA_DATABASE_{role}") if role else None
    text = own or _secret("CYTOJEPA_DATABASE") or setting
    if text == BUILT_IN:
        return None
    url = server_url(text)
    name = f"CYTOJEPA_DATABASE_{role}_PASSWORD" if own else "CYTOJEPA_DATABASE_PASSWORD"
    password = _secret(name) if url.password is None else None
    return url if password is None else url.set(password=password)


def _secret(name: str) -> str | None:
    """Return what a variable says, or the file that the variable with `_FILE` behind it names.

    Raises:
        SettingsError: The named file cannot be read.
    """
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name) or None
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{name}_FILE: {path} cannot be read ({error.strerror}).") from error


def resolve_home(given: str | None) -> Path:
    """Return the workspace folder: the option, else CYTOJEPA_HOME, else `./cytojepa-home`."""
    return Path(given or os.environ.get("CYTOJEPA_HOME") or DEFAULT_HOME).resolve()


def home_of_process() -> Path:
    """Return the workspace of a child process, which its parent put into the environment."""
    return resolve_home(None)


def environment_with_home(home: Path, **extra: str) -> dict[str, str]:
    """Return the environment for a child process that works on this workspace."""
    return {**os.environ, "CYTOJEPA_HOME": str(home), **extra}


def given_job() -> str | None:
    """Return the job that a page has started this process for, None where nobody has."""
    return os.environ.get("CYTOJEPA_JOB")


def announce_home(home: Path) -> None:
    """Put the workspace into this process's environment, for the pages that Streamlit runs in it."""
    os.environ["CYTOJEPA_HOME"] = str(home)
