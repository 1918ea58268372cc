"""Connections to the database are cut at any moment: each label is stored exactly once."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from datasets.errors import ConnectionLost
from labeling import leases
from labeling.labels import LabelEvent, record
from labeling.records import Label
from labeling.verification import check_chain
from tests.cutting_proxy import CuttingProxy, NextAnswerToCommit, now_and_then
from tests.postgresql import APP, Server
from tests.studies import database_name, on_server

CELLS, DOCTORS = 500, 6


@pytest.fixture
def study(new_home: Path):
    services = Services.open(new_home)
    slide = Slide(id="SL-A", kind="cells", mpp=0.25, mpp_source="given", added_at=utc_now())
    cells = [Cell(id=f"CE-{n:05d}", slide_id="SL-A", origin="imported", added_at=utc_now()) for n in range(CELLS)]
    catalog.add(services.database, [slide], cells)
    yield services
    services.database.close()


def _through(study: Services, server: Server, proxy: CuttingProxy, monkeypatch) -> Services:
    name = database_name(study.home)
    monkeypatch.setenv("CYTOJEPA_DATABASE", f"postgresql://{APP}@127.0.0.1:{proxy.port}/{name}")
    for _ in range(100):
        try:
            return Services.open(study.home)
        except Exception:  # noqa: BLE001  (the network breaks while the study is opened, too)
            continue
    pytest.fail(f"the study does not open on {server.port}")


class _Doctor(threading.Thread):
    """Leases and labels until enough connections were cut; sends again what was not acknowledged."""

    def __init__(self, services: Services, name: str, proxy: CuttingProxy, cuts: int) -> None:
        super().__init__(name=name)
        self._services, self._proxy, self._cuts = services, proxy, cuts
        self.keys: list[str] = []

    def run(self) -> None:
        while self._proxy.cuts < self._cuts:
            items = self._again(
                lambda: leases.take(self._services.database, self.name, 2, reads=DOCTORS, lease_seconds=600)
            )
            for item in items or [None]:
                cell = item.cell_id if item else f"CE-{len(self.keys) % CELLS:05d}"
                self._label(f"{self.name}-{len(self.keys)}", cell)

    def _label(self, key: str, cell: str) -> None:
        event = LabelEvent(key=key, cell_id=cell, category="NILM")
        receipts = self._again(
            lambda: record(self._services.database, self.name, [event], label_set=self._services.label_set)
        )
        assert receipts[0].accepted, receipts
        self.keys.append(key)

    def _again(self, call):
        while True:
            try:
                return call()
            except ConnectionLost:  # the browser, too, sends again what has no receipt
                continue


def _label_through_cuts(study: Services, server: Server, monkeypatch, cuts: int) -> int:
    proxy = CuttingProxy(server.port, is_cut=now_and_then(7, 60))
    services = _through(study, server, proxy, monkeypatch)
    doctors = [_Doctor(services, f"dr{number}", proxy, cuts) for number in range(DOCTORS)]
    for doctor in doctors:
        doctor.start()
    for doctor in doctors:
        doctor.join()
    proxy.close()
    with study.database.read() as session:
        stored = Counter(session.scalars(select(Label.key)))
    report = check_chain(study.database)

    assert set(stored.values()) == {1}
    assert stored.keys() == {key for doctor in doctors for key in doctor.keys}
    assert (report.events, report.problems) == (len(stored), ())
    assert study.database.integrity_problems() == []
    return proxy.cuts


@on_server
def test_cuts__hundred_connections_each_label_exactly_once(study: Services, server: Server, monkeypatch) -> None:
    assert _label_through_cuts(study, server, monkeypatch, 100) >= 100


@pytest.mark.slow
@pytest.mark.timeout(1500)
@on_server
def test_cuts__two_thousand_connections_each_label_exactly_once(study: Services, server: Server, monkeypatch) -> None:
    assert _label_through_cuts(study, server, monkeypatch, 2000) >= 2000


@on_server
@pytest.mark.parametrize(("has_key", "copies"), [(True, 1), (False, 2)])
def test_cuts__after_the_commit_only_the_key_tells(
    study: Services, server: Server, monkeypatch, has_key: bool, copies: int
) -> None:
    """The control: without the label's own key the same cut would store it twice."""
    verdict = NextAnswerToCommit()
    proxy = CuttingProxy(server.port, is_cut=verdict)
    services = _through(study, server, proxy, monkeypatch)
    tries = iter(range(10))

    def send() -> bool:
        key = "key" if has_key else f"key-{next(tries)}"
        event = LabelEvent(key=key, cell_id="CE-00000", category="NILM")
        # Without what tries again inside: here the doctor's browser does.
        return record.__wrapped__(services.database, "ada", [event], label_set=services.label_set)[0].accepted

    verdict.is_armed = True
    with pytest.raises(ConnectionLost):
        send()
    assert send()
    with study.database.read() as session:
        assert len(session.scalars(select(Label.id)).all()) == copies
    assert proxy.cuts == 1
    services.database.close()
    proxy.close()
