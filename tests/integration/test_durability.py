"""Nothing acknowledged is lost or doubled: when the server is killed, and when many label at once."""

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from select import select as select_ready

import pytest
from sqlalchemy import select

from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from labeling import leases
from labeling.labels import LabelEvent, record
from labeling.records import Label
from labeling.verification import check_chain
from tests.studies import KINDS, home_of_kind

CELLS = 400
LEAST = 3
"""Labels of each doctor, however slow the machine is."""


@pytest.fixture(params=KINDS)
def new_home(request, tmp_path: Path, monkeypatch):
    yield from home_of_kind(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def home(new_home: Path) -> Path:
    services = Services.open(new_home)
    now = utc_now()
    slide = Slide(id="SL-A", kind="field", sha256="0" * 64, width_px=9, height_px=9, mpp=None, mpp_source="unknown",
                  added_at=now)  # fmt: skip
    cells = [
        Cell(id=f"CE-{n:05d}", slide_id="SL-A", x=1.0, y=1.0, crop_mpp=None, source_width_px=None,
             source_height_px=None, origin="imported", added_at=now)
        for n in range(CELLS)
    ]  # fmt: skip
    catalog.add(services.database, [slide], cells)
    services.database.close()
    return services.home


def _label_for_ever(home: Path, name: str, start: int, acknowledged: int) -> None:
    """Label in a child process; each acknowledged number is told through a pipe."""
    services = Services.open(home)
    number = start
    while True:
        event = LabelEvent(key=f"{name}-{number}", cell_id=f"CE-{number % CELLS:05d}", category="HSIL")
        assert record(services.database, name, [event], label_set=services.label_set)[0].accepted
        os.write(acknowledged, number.to_bytes(4, "big"))
        number += 1


def _life_and_death(home: Path, starts: dict[str, int], generator: random.Random) -> dict[str, int]:
    """Start one labelling process for each name, kill all in the middle; return the next number of each."""
    children = {}
    for name, start in starts.items():
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                _label_for_ever(home, name, start, writer)
            finally:
                os._exit(1)
        os.close(writer)
        children[name] = (child, reader)
    for _, reader in children.values():
        assert select_ready([reader], [], [], 120)[0], "it labels: a kill before its first label would test nothing"
    time.sleep(generator.uniform(0.0, 0.4))
    ends = {}
    for name, (child, reader) in children.items():
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the labelling process ended by itself"
        with os.fdopen(reader, "rb") as stream:
            told = stream.read()
        ends[name] = starts[name] + len(told) // 4
    return ends


def _killed(home: Path, kills: int) -> int:
    starts, generator = {"ada": 0, "ben": 0}, random.Random(7)
    for _ in range(kills):
        starts = _life_and_death(home, starts, generator)
    services = Services.open(home)
    with services.database.read() as session:
        stored = Counter(session.scalars(select(Label.key)))
    report = check_chain(services.database)
    problems = services.database.integrity_problems()
    services.database.close()
    acknowledged = {f"{name}-{number}" for name, end in starts.items() for number in range(end)}

    assert acknowledged <= stored.keys()
    assert set(stored.values()) == {1}
    # Each process can have stored one label that it was killed before telling; the next resends it.
    assert len(stored) - len(acknowledged) <= len(starts)
    assert (report.events, report.problems, problems) == (len(stored), (), [])
    return len(acknowledged)


def test_kill_9__ten_times_two_processes_lose_and_double_nothing(home: Path) -> None:
    assert _killed(home, 10) > 10


@pytest.mark.slow
def test_kill_9__hundred_times_two_processes_lose_and_double_nothing(home: Path) -> None:
    assert _killed(home, 100) > 100


class _Doctor(threading.Thread):
    """Leases and labels as the page does, some twice, as a browser that lost an answer does."""

    def __init__(self, services: Services, name: str, pause_seconds: float, until: float) -> None:
        super().__init__(name=name)
        self._services, self._pause, self._until = services, pause_seconds, until
        self.keys: list[str] = []
        self.seconds: list[float] = []

    def run(self) -> None:
        generator = random.Random(self.name)
        time.sleep(generator.uniform(0, self._pause))
        while time.monotonic() < self._until or len(self.keys) < LEAST:
            items = leases.take(self._services.database, self.name, 1, reads=5, lease_seconds=60)
            if not items:
                return
            event = LabelEvent(key=f"{self.name}-{len(self.keys)}", cell_id=items[0].cell_id, category="NILM")
            for _ in range(1 + (generator.random() < 0.1)):
                started = time.monotonic()
                receipt = record(self._services.database, self.name, [event], label_set=self._services.label_set)[0]
                self.seconds.append(time.monotonic() - started)
                assert receipt.accepted
            self.keys.append(event.key)
            time.sleep(self._pause)


def _label_together(home: Path, count: int, *, pause_seconds: float, seconds: float) -> list[float]:
    services = Services.open(home)
    until = time.monotonic() + seconds
    doctors = [_Doctor(services, f"dr{n}", pause_seconds, until) for n in range(count)]
    for doctor in doctors:
        doctor.start()
    for doctor in doctors:
        doctor.join()
    with services.database.read() as session:
        rows = session.execute(select(Label.key, Label.annotator, Label.cell_id)).all()
    report = check_chain(services.database)
    services.database.close()

    assert sorted(key for key, _, _ in rows) == sorted(key for doctor in doctors for key in doctor.keys)
    assert max(Counter((annotator, cell) for _, annotator, cell in rows).values()) == 1
    assert max(Counter(cell for _, _, cell in rows).values()) <= 5
    assert (report.events, report.problems) == (len(rows), ())
    return sorted(second for doctor in doctors for second in doctor.seconds)


def test_sixteen_doctors_at_once__none_lost_none_twice(home: Path) -> None:
    assert len(_label_together(home, 16, pause_seconds=0.05, seconds=3)) >= 16 * LEAST


@pytest.mark.slow
def test_sixty_four_doctors__none_lost_none_twice_and_stored_in_time(home: Path) -> None:
    took = _label_together(home, 64, pause_seconds=2, seconds=40)
    worst = took[int(0.99 * len(took))]

    assert len(took) > 300
    assert worst < 1, f"99 of 100 labels took up to {worst:.2f} s"
