"""Which kind of database a test runs with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import BUILT_IN, Settings
from tests.postgresql import PASSWORD, Server

POSTGRESQL = "postgresql"
KINDS = (BUILT_IN, POSTGRESQL)
on_both = pytest.mark.parametrize("new_home", KINDS, indirect=True)
on_built_in = pytest.mark.parametrize("new_home", [BUILT_IN], indirect=True)
on_server = pytest.mark.parametrize("new_home", [POSTGRESQL], indirect=True)


def home_of_kind(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Yield the folder of a new study whose settings name a kind of database."""
    home = tmp_path / "home"
    if kind == BUILT_IN:
        yield home
        return
    server: Server = request.getfixturevalue("server")
    name = server.database(request.getfixturevalue("study_template")).database
    assert name is not None
    monkeypatch.setenv("CYTOJEPA_DATABASE_PASSWORD", PASSWORD)
    home.mkdir()
    Settings(database=server.setting(name)).save(home)
    yield home
    server.drop(name)


def database_name(home: Path) -> str:
    """Return the name of a study's database on the server."""
    return Settings.load(home).database.rsplit("/", 1)[1]
