"""`database`: a study in PostgreSQL, from the side of whoever owns the database."""

from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, verb
from app.preparing import prepare as prepare_study
from app.preparing import statements
from app.settings import Settings, database_url
from datasets.errors import SettingsError

_ROLE = click.option(
    "--account", metavar="NAME", help="Under which the program works [default: the one in the study's settings]."
)


@click.group()
def database() -> None:
    """Make the tables of a study in PostgreSQL and give the program's account its rights."""


@database.command()
@_ROLE
@home_option
@json_option
@verb
def prepare(account: str | None, home: Path, as_json: bool) -> None:
    """Make or upgrade the tables as the owner, whose address stands in CYTOJEPA_DATABASE_OWNER; may be repeated."""
    setting = Settings.load(home).database
    owner = database_url(setting, role="OWNER")
    if owner is None:
        raise SettingsError(
            "database: this study is in its folder, there is nothing to prepare. Name a PostgreSQL database in "
            "CYTOJEPA_DATABASE_OWNER, as postgresql://owner@host/name."
        )
    role = account or _account(setting)
    name = prepare_study(owner, app_role=role)
    emit(as_json, {"ok": True, "database": name, "account": role},
         [f"{name}: the tables are there; {role} may add events and change none."])  # fmt: skip


@database.command()
@_ROLE
@home_option
@json_option
@verb
def grants(account: str | None, home: Path, as_json: bool) -> None:
    """Print the SQL that `prepare` says after the tables are made, for whoever wants to read or say it."""
    lines = statements(account or _account(Settings.load(home).database))
    emit(as_json, {"statements": lines}, [f"{line};" for line in lines])


def _account(setting: str) -> str:
    url = database_url(setting)
    if url is None or url.username is None:
        raise SettingsError("database: no account is named for the program; give it with --account NAME.")
    return url.username
