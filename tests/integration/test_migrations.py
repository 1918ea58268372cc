"""Studies of every earlier version open, whole, and an upgrade that is killed has not happened."""

import os
import signal
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, event, text

from app.services import Services
from datasets.db import SCHEMA_VERSION, Base, Database
from datasets.errors import DatabaseError
from labeling import accounts, migrations
from labeling.answers import current_labels
from labeling.labels import LabelEvent, record
from labeling.verification import check_chain

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
    """Open the study in a child that kills itself before a statement; return whether it came to that."""
    child = os.fork()
    if child == 0:
        left = [statement]

        @event.listens_for(Engine, "before_cursor_execute")
        def strike(*_: object) -> None:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        Database(home / "catalog.sqlite", migrations.upgrade)
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
