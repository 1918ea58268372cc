"""Studies of every earlier version open, whole, and an upgrade that is killed has not happened."""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Engine, event, text

from app.preparing import prepare
from app.services import Services
from datasets.db import SCHEMA_VERSION, Base, Database
from datasets.errors import DatabaseError
from labeling import accounts, migrations
from labeling.answers import current_labels
from labeling.labels import LabelEvent, record
from labeling.verification import check_chain
from tests.postgresql import APP, Server
from tests.studies import database_name, on_server

OLD = sorted((Path(__file__).parents[1] / "golden").glob("schema-*.sql"))


def _old_study(home: Path, dump: Path) -> Path:
    home.mkdir()
    connection = sqlite3.connect(home / "catalog.sqlite")
    connection.executescript(dump.read_text())
    connection.close()
    return home


def _version(home: Path) -> int:
    connection = sqlite3.connect(home / "catalog.sqlite")
    try:
        return connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


def _objects(home: Path) -> set[tuple[str, str]]:
    connection = sqlite3.connect(home / "catalog.sqlite")
    try:
        return {(kind, name) for kind, name in connection.execute("SELECT type, name FROM sqlite_master")}
    finally:
        connection.close()


def test_old_studies__one_for_each_earlier_schema() -> None:
    assert [path.stem for path in OLD] == [f"schema-{number}" for number in range(1, SCHEMA_VERSION)]


@pytest.mark.parametrize("dump", OLD, ids=lambda path: path.stem)
def test_upgrade__old_study_opens_with_all_its_labels(tmp_path: Path, dump: Path) -> None:
    services = Services.open(_old_study(tmp_path / "home", dump))
    with services.database.read() as session:
        labels = [(c.cell_id, c.annotator, c.category) for c in current_labels(session, include_imported=True)]
    report = check_chain(services.database)

    assert labels == [("CE-AAAAAAAAAAA00", "imported", "NILM"), ("CE-AAAAAAAAAAA02", "ada", "LSIL")]
    assert (report.events, report.problems, accounts.verify(services.database, "ada", "a long password")) == (
        4,
        (),
        True,
    )
    new = LabelEvent(key="k3", cell_id="CE-AAAAAAAAAAA03", category="HSIL")
    assert record(services.database, "ada", [new], label_set=services.label_set)[0].accepted
    services.database.close()
    again = Services.open(services.home)
    assert (check_chain(again.database).events, check_chain(again.database).problems) == (5, ())
    again.database.close()


@pytest.mark.parametrize("dump", OLD, ids=lambda path: path.stem)
def test_upgrade__ends_at_the_schema_of_a_new_study(tmp_path: Path, dump: Path) -> None:
    old, new = Services.open(_old_study(tmp_path / "old", dump)), Services.open(tmp_path / "new")
    with old.database.read() as session:
        differences = compare_metadata(MigrationContext.configure(session.connection()), Base.metadata)
    old.database.close()
    new.database.close()

    assert [d for d in differences if "alembic_version" not in str(d)] == []
    assert {o for o in _objects(tmp_path / "old") if "alembic_version" not in o[1]} == _objects(tmp_path / "new")


@pytest.mark.parametrize("dump", OLD, ids=lambda path: path.stem)
def test_upgrade__killed_before_any_statement_leaves_the_old_study(tmp_path: Path, dump: Path) -> None:
    home = _old_study(tmp_path / "home", dump)
    before, kills = _objects(home), 0
    while _killed_upgrade(home, statement=kills):
        assert (_version(home), _objects(home)) == (int(dump.stem.split("-")[1]), before)
        kills += 1
    services = Services.open(home)

    assert kills > 10
    assert (_version(home), check_chain(services.database).events) == (SCHEMA_VERSION, 4)
    services.database.close()


def _killed_upgrade(home: Path, *, statement: int) -> bool:
    return _killed_opening(lambda: Database(home / "catalog.sqlite", migrations.upgrade), statement=statement)


def _killed_opening(open_study: Callable[[], object], *, statement: int) -> bool:
    """Open the study in a child that kills itself before a statement; return whether it came to that."""
    child = os.fork()
    if child == 0:
        left = [statement]

        @event.listens_for(Engine, "before_cursor_execute")
        def strike(*_: object) -> None:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        open_study()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_upgrade__an_error_inside_leaves_the_old_study(tmp_path: Path) -> None:
    home = _old_study(tmp_path / "home", OLD[0])
    before = _objects(home)

    def fail(connection, version) -> None:
        migrations.upgrade(connection, version)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Database(home / "catalog.sqlite", fail)
    assert (_version(home), _objects(home)) == (1, before)


def test_open__a_newer_study_is_refused(tmp_path: Path) -> None:
    services = Services.open(tmp_path / "home")
    with services.database.write() as session:
        session.execute(text("PRAGMA user_version = 99"))
    services.database.close()

    with pytest.raises(DatabaseError, match="version 99"):
        Services.open(tmp_path / "home")


@pytest.fixture
def old_server_study(server: Server):
    """A study in PostgreSQL as the version before the tokens left it, with a label in it."""
    url = server.database()
    prepare(url, app_role=APP)
    with server.admin(url.database) as connection:
        connection.execute("DROP TABLE api_tokens")
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
    yield url
    server.drop(url.database)


def _server_objects(server: Server, url: URL) -> tuple[str, set[str]]:
    with server.admin(url.database) as connection:
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        return version, {name for (name,) in connection.execute("SELECT tablename FROM pg_tables")}


def test_upgrade__on_a_server_ends_at_the_schema_of_a_new_study(
    server: Server, old_server_study: URL, tmp_path
) -> None:
    Database(old_server_study, migrations.upgrade, folder=tmp_path).close()
    new = server.database()
    prepare(new, app_role=APP)
    database = Database(old_server_study, migrations.upgrade, folder=tmp_path)
    with database.read() as session:
        differences = compare_metadata(MigrationContext.configure(session.connection()), Base.metadata)
    database.close()

    assert _server_objects(server, old_server_study) == _server_objects(server, new)
    assert _server_objects(server, new)[0] == f"{SCHEMA_VERSION:04d}"
    # The number of each cell is PostgreSQL's own column, beside the tables that both kinds share.
    assert [d for d in differences if "alembic_version" not in str(d) and "number" not in str(d)] == []
    server.drop(new.database)


def test_upgrade__on_a_server_killed_before_any_statement_leaves_the_old_study(
    server: Server, old_server_study: URL, tmp_path: Path
) -> None:
    before, kills = _server_objects(server, old_server_study), 0
    while _killed_opening(lambda: Database(old_server_study, migrations.upgrade, folder=tmp_path), statement=kills):
        assert _server_objects(server, old_server_study) == before
        kills += 1

    assert kills > 10
    assert _server_objects(server, old_server_study)[0] == f"{SCHEMA_VERSION:04d}"


@on_server
def test_upgrade__the_programs_account_is_told_to_ask_the_owner(services, server: Server) -> None:
    with server.admin(database_name(services.home)) as connection:
        connection.execute("DROP TABLE api_tokens")
        connection.execute("UPDATE alembic_version SET version_num = '0002'")

    with pytest.raises(DatabaseError, match="cytojepa database prepare"):
        Services.open(services.home)
