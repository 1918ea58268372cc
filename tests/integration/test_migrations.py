"""Studies of every earlier version open, whole, and an upgrade that is killed has not happened."""

import json
import os
import signal
import sqlite3
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Engine, event, text

from app.archive import FORMAT, key_check
from app.preparing import prepare
from app.restoring import restore_backup
from app.services import Services
from datasets.catalog import crop_path
from datasets.db import SCHEMA_VERSION, Base, Database
from datasets.errors import DatabaseError
from labeling import accounts, migrations
from labeling.answers import current_labels
from labeling.labels import LabelEvent, record
from labeling.verification import check_chain
from tests.postgresql import APP, Server
from tests.studies import database_name, on_server

OLD = sorted((Path(__file__).parents[1] / "golden").glob("schema-*.sql"))
ENDS = [pytest.param(path, marks=() if path in (OLD[0], OLD[-1]) else pytest.mark.slow) for path in OLD]
"""The oldest and the newest; those between are upgraded by some of the oldest one's steps."""
ENDS_ON_SERVER = [pytest.param(OLD[1]), *ENDS[2:]]
"""The first version knew no server."""
TABLES = OLD[0].parent / "tables.txt"


def _old_study(home: Path, dump: Path) -> Path:
    home.mkdir()
    connection = sqlite3.connect(home / "catalog.sqlite")
    connection.executescript(dump.read_text())
    connection.close()
    return home


def _old_backup(folder: Path, dump: Path, *, head: str) -> Path:
    """An archive as that version wrote it; `head` is the chain's end that its manifest names."""
    home, archive = _old_study(folder / "old", dump), folder / "old.zip"
    (home / "secret.key").write_bytes(b"k" * 32)
    for number in range(4):
        crop = crop_path(home, f"CE-AAAAAAAAAAA{number:02d}")
        crop.parent.mkdir(parents=True, exist_ok=True)
        crop.write_bytes(b"picture")
    described = {"format": FORMAT, "schema": int(dump.stem.split("-")[1]), "events": 4, "head": head, "with_key": True,
                 "key_check": key_check(b"k" * 32), "left_out": []}  # fmt: skip
    files = []
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (path for path in sorted(home.rglob("*")) if path.is_file()):
            name, content = path.relative_to(home).as_posix(), path.read_bytes()
            packed.writestr(name, content)
            files.append({"path": name, "bytes": len(content), "sha256": sha256(content).hexdigest()})
        packed.writestr("manifest.json", json.dumps({**described, "files": files}))
    return archive


def _head(dump: Path) -> str:
    connection = sqlite3.connect(":memory:")
    connection.executescript(dump.read_text())
    try:
        return connection.execute("SELECT hash FROM events ORDER BY seq DESC").fetchone()[0]
    finally:
        connection.close()


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


def test_tables__are_those_of_the_noted_version(services) -> None:
    """A change without a new version would let older programs into studies that they only half know."""
    connection = sqlite3.connect(services.home / "catalog.sqlite")
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    connection.close()
    lines = [f"{name} {sha256(' '.join(made.split()).encode()).hexdigest()[:12]}" for name, made in found]

    assert [f"version {SCHEMA_VERSION}", *lines] == TABLES.read_text().splitlines(), (
        "The tables have changed: raise SCHEMA_VERSION, add a step to labeling/migrations and a study of the version "
        "before to tests/golden, then write the new lines into tables.txt."
    )


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


@pytest.mark.parametrize("dump", ENDS, ids=lambda path: path.stem)
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


@pytest.mark.parametrize("dump", OLD[1:], ids=lambda path: path.stem)
def test_restore__backup_of_an_older_version_must_end_at_the_event_it_names(tmp_path: Path, dump: Path) -> None:
    findings = restore_backup(_old_backup(tmp_path, dump, head=_head(dump)), tmp_path / "home")
    other = tmp_path / "other"
    other.mkdir()
    refused = restore_backup(_old_backup(other, dump, head="0" * 64), other / "home")

    assert (findings.ok, findings.events, _version(tmp_path / "home")) == (True, 4, SCHEMA_VERSION)
    assert not refused.ok
    assert not (other / "home").exists()


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


@pytest.fixture(params=ENDS_ON_SERVER, ids=lambda path: path.stem)
def old_server_study(request: pytest.FixtureRequest, server: Server):
    """A database on the server with the tables and columns that an earlier version had, no others."""
    url, version = server.database(), int(request.param.stem.split("-")[1])
    prepare(url, app_role=APP)
    had = _columns_of(request.param)
    with server.admin(url.database) as connection:
        for table, column in sorted(_server_columns(connection) - had):
            if table not in {name for name, _ in had}:
                connection.execute(f"DROP TABLE IF EXISTS {table} CASCADE")
            elif column != "number":  # PostgreSQL's own
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute(f"UPDATE alembic_version SET version_num = '{version:04d}'")
    yield url
    server.drop(url.database)


def _columns_of(dump: Path) -> set[tuple[str, str]]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(dump.read_text())
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {(name, row[1]) for name in tables for row in connection.execute(f"PRAGMA table_info({name})")}
    connection.close()
    return found


def _server_columns(connection: psycopg.Connection) -> set[tuple[str, str]]:
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    return {row for row in connection.execute(query) if row[0] != "alembic_version"}


def _server_objects(server: Server, url: URL) -> tuple[str, set[tuple[str, str]]]:
    with server.admin(url.database) as connection:
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        return version, _server_columns(connection)


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
