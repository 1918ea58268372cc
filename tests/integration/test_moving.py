"""A study moves between the two kinds of database by backup and restore, whole, and while doctors label."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.archive import write_backup
from app.cli import cytojepa
from app.restoring import restore_backup
from app.services import Services
from app.settings import BUILT_IN, Settings
from datasets import catalog
from datasets.db import Base
from labeling import accounts, audit
from labeling.labels import LabelEvent, record
from labeling.verification import check_chain
from tests.builders import drawn_study
from tests.integration.test_backup import Doctors, backups_under_load
from tests.postgresql import PASSWORD, Server
from tests.studies import on_both, on_server
from tests.waiting import until


@pytest.fixture
def study(new_home: Path, tmp_path: Path):
    """A drawn slide, two accounts, labels of one of them."""
    services = drawn_study(new_home, tmp_path / "drawn", 1)
    services.settings.save(services.home)
    for name in ("ada", "ben"):
        accounts.add_account(services.database, name, "annotator", "a long password")
    _label(services, "ada", 5)
    yield services
    services.database.close()


def _label(services: Services, name: str, count: int) -> None:
    cells = catalog.cell_ids(services.database)
    events = [LabelEvent(key=f"{name}-{n}", cell_id=cells[n], category="HSIL", seconds=n / 7) for n in range(count)]
    assert all(r.accepted for r in record(services.database, name, events, label_set=services.label_set))


def _rows(services: Services) -> dict[str, list]:
    """Return all rows but the ends of sign-ins, which a restore notes."""
    with services.database.read() as session:
        return {
            table.name: sorted(map(repr, session.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
            if table.name != "sign_ins"
        }


@pytest.fixture
def empty(server: Server, study_template: str, monkeypatch):
    """The setting that names an empty, prepared database on the server."""
    monkeypatch.setenv("CYTOJEPA_DATABASE_PASSWORD", PASSWORD)
    name = server.database(study_template).database
    yield server.setting(name)
    server.drop(name)


@on_both
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_restore__into_either_kind_keeps_every_row(study: Services, target: str, empty: str, tmp_path: Path) -> None:
    setting = BUILT_IN if target == "sqlite" else empty
    report = write_backup(study, tmp_path / "study.zip")
    found = restore_backup(tmp_path / "study.zip", tmp_path / "new", database=setting)
    moved = Services.open(tmp_path / "new")

    assert (report.ok, found.ok, found.events, found.head) == (True, True, report.events, report.head)
    assert moved.settings.database == setting
    assert moved.database.dialect == target
    assert (tmp_path / "new" / "catalog.sqlite").exists() == (target == "sqlite")
    assert _rows(moved) == _rows(study)
    assert accounts.verify(moved.database, "ada", "a long password")
    # The numbers go on where they were, and so does the chain.
    _label(moved, "ben", 3)
    report_after = check_chain(moved.database)
    assert (report_after.events, report_after.problems) == (report.events + 3, ())
    moved.database.close()


@on_server
def test_backup__from_a_server_under_load_restores_whole(study: Services, empty: str, tmp_path: Path) -> None:
    doctors = Doctors(study, 3)
    try:
        until(lambda: len(doctors.acknowledged) >= 10)
        before = set(doctors.acknowledged)
        report = write_backup(study, tmp_path / "study.zip")
    finally:
        doctors.stop()
    found = restore_backup(tmp_path / "study.zip", tmp_path / "new", database=empty)
    moved = Services.open(tmp_path / "new")
    keys = {key for key in before if any(key in row for row in _rows(moved)["labels"])}
    moved.database.close()

    assert (report.ok, found.ok, found.events, found.head) == (True, True, report.events, report.head)
    assert keys == before


@pytest.mark.slow
@on_server
def test_backup__twelve_from_a_server_under_load_restore_whole(study: Services, tmp_path: Path) -> None:
    assert backups_under_load(study, tmp_path, 12) == 12
    assert check_chain(study.database).problems == ()


def test_restore__never_into_a_database_that_holds_a_study(services, empty: str, tmp_path: Path) -> None:
    accounts.add_account(services.database, "ada", "annotator", "a long password")
    write_backup(services, tmp_path / "study.zip")
    restore_backup(tmp_path / "study.zip", tmp_path / "first", database=empty)
    command = ["restore", str(tmp_path / "study.zip"), "--home", str(tmp_path / "second"), "--database", empty]
    result = CliRunner().invoke(cytojepa, [*command, "--json"])

    assert (result.exit_code, "holds a study already" in result.stderr) == (1, True)
    assert not (tmp_path / "second").exists()
    first = Services.open(tmp_path / "first")
    assert (audit.chain_head(first.database).seq, check_chain(first.database).problems) == (1, ())
    first.database.close()


@on_server
def test_restore__without_an_address_never_touches_the_server(study: Services, tmp_path: Path) -> None:
    before = _rows(study)
    write_backup(study, tmp_path / "study.zip")
    command = ["restore", str(tmp_path / "study.zip"), "--home", str(tmp_path / "new")]
    result = CliRunner().invoke(cytojepa, [*command, "--json"])

    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (0, True)
    assert Settings.load(tmp_path / "new").database == BUILT_IN
    assert _rows(study) == before
