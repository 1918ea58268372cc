"""What only a database server has: accounts with rights, addresses with secrets, connections that break."""

import json
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy.exc
from click.testing import CliRunner

from app.cli import cytojepa
from app.doctor import run_checks
from app.services import Services
from app.settings import SETTINGS_FILE, Settings, database_url
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import Base, ConnectionLost, utc_now
from datasets.errors import DatabaseError, SettingsError
from labeling import accounts
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.records import CHAINED_TABLES
from labeling.verification import check_chain
from tests.postgresql import APP, OWNER, PASSWORD, Server
from tests.studies import database_name, on_server
from tests.waiting import PATIENCE_SECONDS

ALL_CHAINED = (*CHAINED_TABLES, "events")


@pytest.fixture
def study(services):
    """An account, two cells, a label and its undo."""
    slide = Slide(id="SL-A", kind="cells", mpp=0.25, mpp_source="given", added_at=utc_now())
    cells = [Cell(id=f"CE-{n}", slide_id="SL-A", origin="imported", added_at=utc_now()) for n in range(2)]
    catalog.add(services.database, [slide], cells)
    accounts.add_account(services.database, "ada", "annotator", "a long password")
    events = [LabelEvent(key="k", cell_id="CE-0", category="HSIL"), UndoEvent(key="u", label_key="k")]
    assert all(r.accepted for r in record(services.database, "ada", events, label_set=services.label_set))
    return services


def _run(*arguments: str, **environment: str) -> tuple[int, dict]:
    result = CliRunner(env=environment).invoke(cytojepa, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else {"error": result.stderr}


@on_server
@pytest.mark.parametrize("table", ALL_CHAINED)
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_rights__the_programs_account_cannot_change_the_past(study: Services, table: str, statement: str) -> None:
    column = Base.metadata.tables[table].columns.keys()[-1]

    with pytest.raises(sqlalchemy.exc.ProgrammingError) as refused, study.database.write() as session:
        session.connection().exec_driver_sql(statement.format(table, column, column))
    assert refused.value.orig.sqlstate == "42501"  # insufficient privilege: the server's own refusal


@on_server
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DROP TRIGGER events_no_delete ON events",
        "SET session_replication_role = replica",
        "CREATE TABLE other (x int)",
        f"GRANT DELETE ON events TO {APP}",
    ],
)
def test_rights__the_programs_account_cannot_take_the_guards_away(study: Services, statement: str) -> None:
    before = check_chain(study.database)
    if statement.startswith("GRANT"):  # of what one has not got: answered with a warning only
        statement += "; DELETE FROM events"
    with pytest.raises(sqlalchemy.exc.DBAPIError) as refused, study.database.write() as session:
        session.connection().exec_driver_sql(statement)
    assert refused.value.orig.sqlstate == "42501"
    assert check_chain(study.database) == before


@on_server
def test_guards__even_the_owner_is_stopped_by_the_triggers(study: Services, server: Server) -> None:
    with server.admin(database_name(study.home)) as connection:
        for table in ALL_CHAINED:
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
                has_rows = connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]
                if has_rows or "TRUNCATE" in statement:  # a trigger of rows says nothing about none
                    with pytest.raises(psycopg.errors.RaiseException, match="only ever added"):
                        connection.execute(statement)


@on_server
def test_doctor__says_which_database_and_whether_its_account_is_safe(
    study: Services, server: Server, monkeypatch
) -> None:
    safe = run_checks(study.home)
    monkeypatch.setenv("CYTOJEPA_DATABASE", server.setting(database_name(study.home), OWNER))
    unsafe = run_checks(study.home)
    told = {check.name: check for check in [*safe, *unsafe]}

    assert any(f"PostgreSQL database {database_name(study.home)} at 127.0.0.1" in name for name in told)
    assert told[f"account {APP} may only add events"].ok
    owner = told[f"account {OWNER} may UPDATE, DELETE, TRUNCATE, own events"]
    assert (owner.ok, "database prepare" in owner.remedy) == (False, True)
    assert not told["server: fsync off, full_page_writes off, synchronous_commit on"].ok
    assert PASSWORD not in repr(told)


def test_prepare__makes_tables_as_owner_and_may_be_repeated(server: Server, tmp_path: Path) -> None:
    url = server.database()
    home = tmp_path / "home"
    home.mkdir()
    Settings(database=server.setting(url.database)).save(home)
    secret = {"CYTOJEPA_DATABASE_PASSWORD": PASSWORD, "CYTOJEPA_DATABASE_OWNER_PASSWORD": PASSWORD}
    code, early = _run("users", "list", "--home", str(home), **secret)
    assert (code, "database prepare" in early["error"]) == (1, True)
    for _ in range(2):
        code, done = _run("database", "prepare", "--home", str(home), **secret,
                          CYTOJEPA_DATABASE_OWNER=server.setting(url.database, OWNER))  # fmt: skip
        assert (code, done["ok"], done["account"]) == (0, True, APP)
    code, grants = _run("database", "grants", "--home", str(home), **secret)
    assert f'GRANT SELECT, INSERT ON events TO "{APP}"' in grants["statements"]
    assert _run("users", "list", "--home", str(home), **secret) == (0, {"users": []})
    server.drop(url.database)


def test_open__a_server_that_orders_text_by_a_language_is_refused(server: Server, tmp_path: Path) -> None:
    with server.admin() as connection:
        connection.execute(
            "CREATE DATABASE in_english TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'en_US.utf8'"
            if connection.execute("SELECT 1 FROM pg_collation WHERE collname = 'en_US.utf8'").fetchone()
            else "CREATE DATABASE in_english TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
        )
    (tmp_path / "home").mkdir()
    Settings(database=server.setting("in_english", OWNER)).save(tmp_path / "home")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CYTOJEPA_DATABASE_PASSWORD", PASSWORD)
        with pytest.raises(DatabaseError, match="createdb --template=template0"):
            Services.open(tmp_path / "home")
    server.drop("in_english")


@on_server
def test_open__a_folder_without_the_studys_key_is_refused(study: Services, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    study.settings.save(tmp_path / "other")

    with pytest.raises(DatabaseError, match=r"no secret\.key"):
        Services.open(tmp_path / "other")
    assert not (tmp_path / "other" / "secret.key").exists()


def test_open__a_study_in_its_folder_is_not_replaced_by_an_empty_one(tmp_path: Path, server: Server) -> None:
    Services.open(tmp_path / "home").database.close()
    Settings(database=server.setting("anything")).save(tmp_path / "home")

    with pytest.raises(DatabaseError, match="cytojepa restore"):
        Services.open(tmp_path / "home")


def test_settings__a_password_in_the_file_is_refused_and_not_told(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text('[study]\ndatabase = "postgresql://ada:s3cret@host/study"\n')

    with pytest.raises(SettingsError, match="CYTOJEPA_DATABASE_PASSWORD_FILE") as refused:
        Settings.load(tmp_path)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("text", ["mysql://host/x", "postgresql://host", "not an address", "postgresql://a:s3cret@h"])
def test_settings__what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="postgresql://account@host/name") as refused:
        Settings(database=text)
    assert "s3cret" not in str(refused.value)


def test_settings__environment_and_files_come_first(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "url").write_text("postgresql://ada@host/study?sslmode=verify-full\n")
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("CYTOJEPA_DATABASE_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("CYTOJEPA_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    url = database_url("sqlite")

    assert url is not None
    assert (url.password, url.host, url.query["sslmode"], "s3cret" in str(url)) == (
        "s3cret", "host", "verify-full", False,
    )  # fmt: skip
    monkeypatch.setenv("CYTOJEPA_DATABASE_PASSWORD_FILE", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match="gone cannot be read"):
        database_url("sqlite")


@on_server
def test_cut__the_next_transaction_finds_a_new_connection(study: Services, server: Server) -> None:
    name = database_name(study.home)
    assert server.cut(name) > 0

    assert catalog.counts(study.database).cells == 2
    server.cut(name)
    event = LabelEvent(key="after", cell_id="CE-1", category="NILM")
    assert record(study.database, "ada", [event], label_set=study.label_set)[0].accepted


@on_server
def test_cut__in_the_middle_of_a_transaction_is_told_and_stores_nothing(study: Services, server: Server) -> None:
    def cut_inside() -> None:
        with study.database.write() as session:
            session.connection().exec_driver_sql("DELETE FROM leases")
            server.cut(database_name(study.home))
            session.connection().exec_driver_sql("DELETE FROM accounts")

    with pytest.raises(ConnectionLost, match="what was saved is kept"):
        cut_inside()
    assert [account.name for account in accounts.list_accounts(study.database)] == ["ada"]


@on_server
def test_hang__who_hangs_in_a_transaction_is_ended_and_the_others_go_on(study: Services, monkeypatch) -> None:
    """A stopped process must not stop the study: here with a pause of a second in place of thirty."""
    is_inside, has_turn = threading.Event(), threading.Event()

    def hang() -> None:
        with study.database.write() as session:
            session.connection().exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '1s'")
            is_inside.set()
            has_turn.wait(PATIENCE_SECONDS)
            session.connection().exec_driver_sql("DELETE FROM leases")

    def hang_and_be_told() -> None:
        with pytest.raises(ConnectionLost):
            hang()

    thread = threading.Thread(target=hang_and_be_told)
    thread.start()
    is_inside.wait()
    other = Services.open(study.home)  # as another process would: it takes a turn to write
    is_hanging = thread.is_alive()
    has_turn.set()
    thread.join()
    other.database.close()

    assert is_hanging


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT], ids=["crash", "restart"])
def test_restart__labels_wait_for_the_server_and_are_stored_once(how, tmp_path: Path, request, monkeypatch) -> None:
    own = Server()
    request.addfinalizer(own.close)
    monkeypatch.setenv("CYTOJEPA_DATABASE_PASSWORD", PASSWORD)
    (tmp_path / "home").mkdir()
    Settings(database=own.setting(own.database().database, OWNER)).save(tmp_path / "home")
    services = Services.open(tmp_path / "home")
    slide = Slide(id="SL-A", kind="cells", mpp=0.25, mpp_source="given", added_at=utc_now())
    catalog.add(services.database, [slide], [Cell(id="CE-0", slide_id="SL-A", origin="imported", added_at=utc_now())])
    event, receipts = LabelEvent(key="k", cell_id="CE-0", category="NILM"), []
    own.stop(how)
    doctor = threading.Thread(
        target=lambda: receipts.extend(record(services.database, "ada", [event], label_set=services.label_set))
    )
    doctor.start()
    time.sleep(0.5)
    own.start()
    doctor.join()
    found = check_chain(services.database)
    services.database.close()

    assert (receipts[0].accepted, found.events, found.problems) == (True, 1, ())
