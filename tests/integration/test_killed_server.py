"""The server is killed again and again while doctors answer through its routes: no receipt is ever untrue."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from app.services import Services
from app.sign_in import COOKIE
from labeling import accounts
from labeling.records import Label
from labeling.verification import check_chain
from tests.builders import study_of_cells
from tests.studies import on_both, on_built_in
from tests.waiting import until

DOCTORS, CELLS = ("ada", "ben", "eve", "ina"), 200
# Imports once; each line on standard input is a new life of the server, on the same open port.
SERVER = """
import os, socket, sys
from pathlib import Path
import uvicorn
from starlette.routing import Router
from app.api import api_routes
from app.services import Services
from app.sign_in import SignInGate
listener = socket.socket(fileno=int(sys.argv[2]))
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        services = Services.open(Path(sys.argv[1]))
        app = SignInGate(Router(api_routes(services)), services.database)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
        os._exit(1)
    print(child, flush=True)
    os.waitpid(child, 0)
"""


class _Doctor(threading.Thread):
    """A browser: sends each answer until it has the receipt, over as many connections as that takes."""

    def __init__(self, services: Services, name: str, port: int) -> None:
        super().__init__(name=name)
        token = accounts.open_sign_in(services.database, name)
        person = accounts.check_sign_in(services.database, token)
        assert person is not None
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5, cookies={COOKIE: token},
                                    headers={"x-csrf-token": person.csrf_token})  # fmt: skip
        self.is_over, self.acknowledged, self.refused = threading.Event(), list[str](), list[str]()

    def run(self) -> None:
        while not self.is_over.is_set():
            key = f"{self.name}-{len(self.acknowledged)}"
            cell = f"CE-{len(self.acknowledged) % CELLS:05d}"
            event = {"kind": "label", "key": key, "cell": cell, "category": "HSIL"}
            while not self._is_stored(event):
                pass
            self.acknowledged.append(key)
        self._client.close()

    def _is_stored(self, event: dict[str, str]) -> bool:
        try:
            answer = self._client.post("/api/v1/labels", json={"events": [event]})
        except httpx.TransportError:
            return False
        if answer.status_code == 200 and answer.json()["receipts"][0]["accepted"]:
            return True
        self.refused.append(answer.text)
        return False


def _killed(home: Path, kills: int) -> int:
    """Kill the server so many times; return how many labels were acknowledged."""
    services = study_of_cells(home, CELLS)
    for name in DOCTORS:
        accounts.add_account(services.database, name, "annotator", "a long password")
    listener, generator = socket.create_server(("127.0.0.1", 0), backlog=64), random.Random(5)
    doctors = [_Doctor(services, name, listener.getsockname()[1]) for name in DOCTORS]
    command = [sys.executable, "-c", SERVER, str(home), str(listener.fileno())]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          pass_fds=[listener.fileno()], env=environment) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None

        def live() -> int:
            server.stdin.write("\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        for doctor in doctors:
            doctor.start()
        for _ in range(kills):
            told, child = _told(doctors), live()
            until(lambda told=told: _told(doctors) > told)  # a kill before its first label would test nothing
            time.sleep(generator.uniform(0, 0.3))
            os.kill(child, signal.SIGKILL)
        child = live()
        for doctor in doctors:
            doctor.is_over.set()
        for doctor in doctors:
            doctor.join(150)
        os.kill(child, signal.SIGKILL)
        server.stdin.close()
    listener.close()
    with services.database.read() as session:
        stored = Counter(session.scalars(select(Label.key)))
    chain, problems = check_chain(services.database), services.database.integrity_problems()
    services.database.close()

    assert [doctor.refused for doctor in doctors] == [[]] * len(DOCTORS)
    assert stored == Counter(key for doctor in doctors for key in doctor.acknowledged), "none lost, none doubled"
    assert (chain.events, chain.problems, problems) == (len(stored) + len(DOCTORS), (), [])
    return len(stored)


def _told(doctors: list[_Doctor]) -> int:
    return sum(len(doctor.acknowledged) for doctor in doctors)


@on_built_in  # with PostgreSQL one of two is killed in each run, see test_two_servers
def test_server__killed_five_times_while_doctors_answer(new_home: Path) -> None:
    assert _killed(new_home, 5) > 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@on_both
def test_server__killed_a_hundred_times_while_doctors_answer(new_home: Path) -> None:
    assert _killed(new_home, 100) > 100
