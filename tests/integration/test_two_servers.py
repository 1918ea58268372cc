"""Two `cytojepa serve` processes behind one proxy are one application; one killed loses nothing."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from sqlalchemy import func
from sqlalchemy import select as query

from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from datasets.embeddings import EmbeddingStore, set_current
from labeling import accounts
from labeling.records import Label, Lease, Probe, SignInFailure
from labeling.verification import check_chain
from tests.cutting_proxy import CuttingProxy
from tests.studies import on_server
from tests.waiting import PATIENCE_SECONDS, free_port, until, until_served

PASSWORD = "a long password"
# The pool outlasts the doctors at their pace: about three minutes, where the test takes seconds.
CELLS, DOCTORS, PACE = 6000, 8, 0.5


class Process:
    """`cytojepa serve` that can be killed as a power cut of its machine would."""

    def __init__(self, home: Path, number: int) -> None:
        self.port = free_port()
        self._log = home.parent / f"server-{number}.log"
        command = [sys.executable, "-m", "app.cli", "serve", "--home", str(home), "--port", str(self.port)]
        with self._log.open("wb") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True,
                                          env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip

    def wait(self) -> None:
        until_served(f"http://127.0.0.1:{self.port}", self.child, self._log)

    def kill(self) -> None:
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


class Doctor(threading.Thread):
    """A browser: signs in once, asks for cells, sends each answer until it has the receipt."""

    def __init__(self, url: str, name: str, stop: threading.Event) -> None:
        super().__init__(name=name)
        self._stop_event, self.acknowledged, self.problems = stop, set(), []
        # Every request has a connection of its own, so that it reaches either server.
        self._client = httpx.Client(base_url=url, timeout=20, limits=httpx.Limits(max_keepalive_connections=0))

    def sign_in(self, services: Services) -> None:
        answer = self._client.post("/login", data={"name": self.name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        person = accounts.check_sign_in(services.database, self._client.cookies["cytojepa_session"])
        assert person is not None
        self._client.headers["X-CSRF-Token"] = person.csrf_token

    def _ask(self, method: str, path: str, **content: object) -> httpx.Response | None:
        """Return an answer of 200, None where there is to be another try; note what a doctor must not see."""
        try:
            answer = self._client.request(method, path, **content)
        except httpx.TransportError:
            return None
        if answer.status_code not in (200, 502, 503):
            self.problems.append((answer.status_code, answer.text))
        return answer if answer.status_code == 200 else None

    def run(self) -> None:
        generator, number = random.Random(self.name), 0
        while not self._stop_event.is_set():
            found = self._ask("GET", "/api/v1/worklist?limit=2")
            for item in found.json()["items"] if found else []:
                event = {"kind": "label", "key": f"{self.name}-{number}", "cell": item["cell"],
                         "category": generator.choice(["NILM", "HSIL"])}  # fmt: skip
                number += 1
                answer = None
                while answer is None:
                    answer = self._ask("POST", "/api/v1/labels", json={"events": [event]})
                receipt = answer.json()["receipts"][0]
                if not receipt["accepted"]:
                    self.problems.append(receipt)
                self.acknowledged.add(event["key"])
            self._stop_event.wait(PACE)
        self._client.close()


@pytest.fixture
def study(new_home: Path):
    """Cells with vectors, and an account for each doctor."""
    services = Services.open(new_home)
    slides = [Slide(id=f"SL-{n}", kind="cells", mpp=0.25, mpp_source="given", added_at=utc_now()) for n in range(4)]
    ids = [f"CE-{n:05d}" for n in range(CELLS)]
    cells = [Cell(id=i, slide_id=f"SL-{n % 4}", origin="imported", added_at=utc_now()) for n, i in enumerate(ids)]
    catalog.add(services.database, slides, cells)
    store = EmbeddingStore(services.embeddings_folder, "f" * 16)
    store.append(ids, np.random.default_rng(7).normal(size=(CELLS, 8)).astype(np.float32))
    set_current(services.embeddings_folder, store.fingerprint)
    for name in (*(f"dr{number}" for number in range(DOCTORS)), "guest", "guessed"):
        accounts.add_account(services.database, name, "annotator", PASSWORD)
    yield services
    services.database.close()


@pytest.fixture
def servers(study: Services):
    processes = [Process(study.home, number) for number in range(2)]
    try:
        for process in processes:
            process.wait()
        yield processes
    finally:
        for process in processes:
            process.kill()


def _newest_probe(study: Services) -> int:
    with study.database.read() as session:
        return session.scalar(query(func.max(Probe.number))) or 0


def _assert_sign_ins_are_shared(study: Services, servers: list[Process]) -> None:
    """Guesses are slowed down on both, a sign-in counts on both, and its end is felt on both."""
    one, other = (f"http://127.0.0.1:{process.port}" for process in servers)
    right = {"name": "guessed", "password": PASSWORD}
    with httpx.Client(timeout=PATIENCE_SECONDS) as browser:
        for _ in range(5):
            assert browser.post(f"{one}/login", data={**right, "password": "wrong"}).status_code == 401
        with study.database.write() as session:
            failed = session.scalars(query(SignInFailure)).one()
            assert failed.count == 5
            failed.last_at = utc_now() + timedelta(minutes=5)  # a pause of two seconds can be over on a busy machine
        assert browser.post(f"{other}/login", data=right).status_code == 429
        assert browser.post(f"{one}/login", data={**right, "name": "guest"}).status_code == 303
        cookies = {"cytojepa_session": browser.cookies["cytojepa_session"]}
    assert [_recent(url, cookies) for url in (one, other)] == [200, 200]
    accounts.disable(study.database, "guest")
    assert [_recent(url, cookies) for url in (one, other)] == [401, 401]


def _recent(url: str, cookies: dict[str, str]) -> int:
    return httpx.get(f"{url}/api/v1/recent", cookies=cookies, timeout=PATIENCE_SECONDS).status_code


@on_server
def test_two_servers__one_killed_while_eight_doctors_label(study: Services, servers: list[Process]) -> None:
    _assert_sign_ins_are_shared(study, servers)
    proxy, stop = CuttingProxy(*(process.port for process in servers)), threading.Event()
    doctors = [Doctor(f"http://127.0.0.1:{proxy.port}", f"dr{number}", stop) for number in range(DOCTORS)]
    for doctor in doctors:
        doctor.sign_in(study)
        doctor.start()
    try:
        until(lambda: _newest_probe(study) > 0)
        servers[0].kill()
        told, fitted = sum(len(doctor.acknowledged) for doctor in doctors), _newest_probe(study)
        until(lambda: sum(len(doctor.acknowledged) for doctor in doctors) > told + 40)
        until(lambda: _newest_probe(study) > fitted)
    finally:
        stop.set()
        for doctor in doctors:
            doctor.join()
        proxy.close()
    with study.database.read() as session:
        rows = session.execute(query(Label.key, Label.cell_id, Label.annotator)).all()
        leases = Counter(session.scalars(query(Lease.cell_id)))
    report = check_chain(study.database)

    assert [doctor.problems for doctor in doctors] == [[]] * DOCTORS
    keys = Counter(row.key for row in rows)
    assert set().union(*(doctor.acknowledged for doctor in doctors)) == keys.keys()  # none lost
    assert set(keys.values()) == {1}  # none doubled
    readers = Counter(row.cell_id for row in rows)
    shared = {cell for cell, count in readers.items() if count > 1}
    assert max(readers.values()) <= 2  # the queue's shared cells go to two doctors
    assert len(shared) < len(readers) / 2
    assert max(leases.values(), default=0) <= 2
    assert (report.events, report.problems) == (len(rows) + DOCTORS + 3, ())
