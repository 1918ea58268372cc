"""A full disk: the doctor is told, nothing that was saved is lost, and work goes on when there is room."""

import logging
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app.api import api_routes
from app.sign_in import COOKIE, SignInGate
from labeling import accounts
from labeling.records import Label
from labeling.verification import check_chain
from tests.builders import study_of_cells

PASSWORD = "a long password"


@contextmanager
def _no_room(home: Path):
    """Let no file grow beyond what the database's files have: the kernel refuses each byte more."""
    size = max(path.stat().st_size for path in home.glob("catalog.sqlite*"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_disk_full__told_survived_and_stored_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    services = study_of_cells(tmp_path / "home", 50)
    accounts.add_account(services.database, "ada", "annotator", PASSWORD)
    token = accounts.open_sign_in(services.database, "ada")
    csrf = accounts.check_sign_in(services.database, token).csrf_token
    site = Starlette(routes=api_routes(services), middleware=[Middleware(SignInGate, database=services.database)])
    client = TestClient(site, cookies={COOKIE: token}, headers={"x-csrf-token": csrf}, raise_server_exceptions=False)
    cells = [item["cell"] for item in client.get("/api/v1/worklist").json()["items"]]

    def label(number: int):
        event = {"kind": "label", "key": f"k{number}", "cell": cells[number], "category": "HSIL"}
        return client.post("/api/v1/labels", json={"events": [event]})

    assert label(0).status_code == 200
    with _no_room(services.home), caplog.at_level(logging.CRITICAL):
        statuses = [label(1).status_code for _ in range(3)]
        assert min(statuses) >= 500, "never told as saved"
        assert client.get("/api/v1/recent").status_code == 200, "reading goes on"
        with services.database.read() as session:
            assert session.scalar(select(func.count(Label.id))) == 1
    answers = [label(1).json()["receipts"][0] for _ in range(2)]
    with services.database.read() as session:
        keys = sorted(session.scalars(select(Label.key)))

    assert all(answer["accepted"] for answer in answers)
    assert keys == ["k0", "k1"]
    assert (check_chain(services.database).problems, services.database.integrity_problems()) == ((), [])
    services.database.close()
