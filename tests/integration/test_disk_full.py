"""A full disk: the doctor is told, nothing that was saved is lost, and work goes on when there is room."""

import logging
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from starlette.routing import Router
from starlette.testclient import TestClient

from app.api import api_routes
from app.inspection import inspect_study
from app.services import Services
from app.settings import Settings
from app.sign_in import COOKIE, SignInGate
from app.sign_in_routes import sign_in_routes
from datasets import catalog
from datasets.db import utc_now
from datasets.files import write_atomically
from labeling import accounts, tokens
from labeling.accounts import FailureBrake
from labeling.records import Label, SignIn
from tests.builders import study_of_cells
from tests.postgresql import PASSWORD as DATABASE_PASSWORD
from tests.postgresql import Server
from tests.small_disk import fill, small_disk
from tests.waiting import until

PASSWORD = "a long password"
DOCTORS, CELLS = ("ada", "ben", "eve"), 20


@pytest.fixture
def new_study() -> Callable[[Path], Services]:
    def make(home: Path) -> Services:
        services = study_of_cells(home, CELLS)
        for cell in catalog.cell_ids(services.database):  # a study is whole only with its pictures
            write_atomically(catalog.crop_path(home, cell), b"picture")
        for name in DOCTORS:
            accounts.add_account(services.database, name, "annotator", PASSWORD)
        return services

    return make


def _browser(services: Services, name: str = "") -> TestClient:
    brake = FailureBrake(services.database)
    site = SignInGate(Router([*api_routes(services), *sign_in_routes(services.database, brake)]), services.database)
    client = TestClient(site, raise_server_exceptions=False, follow_redirects=False)
    if name:
        token = accounts.open_sign_in(services.database, name)
        client.cookies[COOKIE] = token
        client.headers["x-csrf-token"] = accounts.check_sign_in(services.database, token).csrf_token
    return client


EXEMPLAR = {"key": "e", "cell": "CE-00001", "category": "HSIL"}


def _send(client: TestClient, key: str, number: int):
    event = {"kind": "label", "key": key, "cell": f"CE-{number % CELLS:05d}", "category": "HSIL"}
    return client.post("/api/v1/labels", json={"events": [event]})


def _keys(services: Services) -> Counter[str]:
    with services.database.read() as session:
        return Counter(session.scalars(select(Label.key)))


class _Doctor(threading.Thread):
    """Answers; sends each answer again until there is a receipt, and remembers what it was told meanwhile."""

    def __init__(self, services: Services, name: str, first: int) -> None:
        super().__init__(name=name)
        self._number = first
        self._client, self._stop_event = _browser(services, name), threading.Event()
        self.acknowledged: set[str] = set()
        self.told: list[tuple[int, str]] = []

    def run(self) -> None:
        while not self._stop_event.is_set():
            key = f"{self.name}-{self._number}"
            answer = _send(self._client, key, self._number)
            if answer.status_code == 200:
                assert answer.json()["receipts"][0]["accepted"], answer.text
                self.acknowledged.add(key)
                self._number += 1
            else:
                self.told.append((answer.status_code, answer.json()["error"]))
                time.sleep(0.05)

    def stop(self) -> None:
        self._stop_event.set()
        self.join()


@contextmanager
def _doctors(services: Services) -> Iterator[list[_Doctor]]:
    """Let the doctors answer, each from the first of the own answers that is not stored."""
    stored = Counter(key.split("-")[0] for key in _keys(services))
    found = [_Doctor(services, name, stored[name]) for name in DOCTORS]
    for doctor in found:
        doctor.start()
    try:
        yield found
    finally:
        for doctor in found:
            doctor.stop()


def _acknowledged(doctors: list[_Doctor]) -> set[str]:
    return set().union(*(doctor.acknowledged for doctor in doctors))


@contextmanager
def _full(disk: Path):
    ballast = fill(disk)
    yield
    ballast.unlink()


@contextmanager
def _limited(folder: Path):
    """Let no file grow beyond what the database's files have: the kernel refuses each byte more."""
    size = max(path.stat().st_size for path in folder.glob("home/catalog.sqlite*"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(params=[_limited, _full], ids=["limited", "full"])
def disk(request, tmp_path: Path):
    """A folder, and how to let nothing more be written into it."""
    if request.param is _limited:
        yield tmp_path, _limited
        return
    with small_disk(tmp_path / "disk", 16) as found:
        yield found, _full


def test_built_in__told_survived_and_stored_once(new_study, disk, caplog: pytest.LogCaptureFixture) -> None:
    folder, no_room = disk
    services = new_study(folder / "home")
    client, stranger = _browser(services, "ada"), _browser(services)
    program = tokens.create(services.database, "ada", "test").secret
    with services.database.write() as session:  # somebody who has done nothing for a while
        session.execute(update(SignIn).values(seen_at=utc_now() - timedelta(minutes=5)))
    assert _send(client, "k0", 0).status_code == 200
    with services.database.write() as session:
        session.execute(update(SignIn).values(seen_at=utc_now() - timedelta(minutes=5)))
    with no_room(folder), caplog.at_level(logging.CRITICAL):
        told = [_send(client, "k1", 1) for _ in range(3)]
        assert [answer.status_code for answer in told] == [507] * 3
        assert "nothing of this was stored" in told[0].json()["error"]
        german = client.post("/api/exemplars", json=EXEMPLAR, headers={"Accept-Language": "de"})
        assert "Davon wurde nichts gespeichert" in german.json()["error"]
        assert client.get("/api/v1/recent").status_code == 200, "reading goes on"
        own = {"Authorization": f"Bearer {program}"}
        assert stranger.get("/api/v1/recent", headers=own).status_code == 200, "for programs, too"
        refused = stranger.post("/login", data={"name": "ada", "password": PASSWORD})
        assert (refused.status_code, "disk of the study is full or broken" in refused.text) == (507, True)
        assert _keys(services) == {"k0": 1}
    assert [_send(client, "k1", 1).json()["receipts"][0]["accepted"] for _ in range(2)] == [True, True]

    assert _keys(services) == {"k0": 1, "k1": 1}
    assert inspect_study(services).problems == ()
    services.database.close()


@pytest.fixture
def study_on_a_small_disk(new_study, server: Server, study_template: str, tmp_path: Path, monkeypatch):
    """A study in PostgreSQL whose tables lie on a disk of their own."""
    monkeypatch.setenv("CYTOJEPA_DATABASE_PASSWORD", DATABASE_PASSWORD)
    with server.small_disk(32) as disk:
        with server.admin() as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        name = server.database(study_template, "small").database
        (tmp_path / "home").mkdir()
        Settings(database=server.setting(name)).save(tmp_path / "home")
        services = new_study(tmp_path / "home")
        yield services, disk
        services.database.close()
        server.drop(name)
        with server.admin() as connection:
            connection.execute("DROP TABLESPACE small")


def test_server__its_disk_fills_while_doctors_answer(study_on_a_small_disk) -> None:
    services, disk = study_on_a_small_disk
    with _doctors(services) as doctors:
        until(lambda: len(_acknowledged(doctors)) > 10)
        ballast = fill(disk)
        until(lambda: all(doctor.told for doctor in doctors))
    before, told = _acknowledged(doctors), {said for doctor in doctors for said in doctor.told}
    assert _keys(services) == dict.fromkeys(before, 1), "what was refused is not stored"
    ballast.unlink()
    with _doctors(services) as doctors:
        until(lambda: all(len(doctor.acknowledged) > 5 for doctor in doctors))

    assert {status for status, _ in told} == {507}
    assert all("nothing of this was stored" in sentence for _, sentence in told)
    assert [doctor.told for doctor in doctors] == [[], [], []]
    assert _keys(services) == dict.fromkeys(before | _acknowledged(doctors), 1)
    assert inspect_study(services).problems == ()


@pytest.mark.slow
def test_server__the_disk_of_its_log_fills_and_it_dies(new_study, request, tmp_path: Path, monkeypatch) -> None:
    """PostgreSQL ends itself where its log finds no room; with room, and started again, all is there."""
    monkeypatch.setenv("CYTOJEPA_DATABASE_PASSWORD", DATABASE_PASSWORD)
    monkeypatch.setattr("datasets.db._PAUSES_SECONDS", (0.02, 0.1))
    own = Server(log_megabytes=12)
    request.addfinalizer(own.close)
    (tmp_path / "home").mkdir()
    Settings(database=own.setting(own.database().database, "study_owner")).save(tmp_path / "home")
    services = new_study(tmp_path / "home")
    with _doctors(services) as doctors:
        until(lambda: len(_acknowledged(doctors)) > 10)
        ballast = fill(own.log_disk)
        with own.admin() as connection:
            connection.execute("SELECT pg_switch_wal()")
        until(lambda: all(doctor.told for doctor in doctors))
        own.wait()
        before = _acknowledged(doctors)
        ballast.unlink()
        own.start()
        assert before <= _keys(services).keys()
        until(lambda: all(doctor.acknowledged - before for doctor in doctors))

    told = {said for doctor in doctors for said in doctor.told}
    assert (503, "The database does not answer. Nothing that was saved is lost; send it again.") in told
    assert {status for status, _ in told} <= {503, 507}
    assert _keys(services) == dict.fromkeys(_acknowledged(doctors), 1)
    assert inspect_study(services).problems == ()
    services.database.close()
