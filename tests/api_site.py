"""A study behind its routes, with accounts and programs: what the tests of the HTTP API ask."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.routing import Router
from starlette.testclient import TestClient

from app.api import api_routes
from app.services import Services
from app.sign_in import SignInGate
from datasets import catalog
from labeling import accounts, tokens
from labeling.accounts import ROLES
from labeling.records import Event
from tests.builders import drawn_study
from tests.studies import home_of_kind

PASSWORD = "a long password"


def gated(services: Services) -> SignInGate:
    """Return the routes behind their gate, without the pages: one process has them once only."""
    return SignInGate(Router(api_routes(services)), services.database)


def sites(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Site"]:
    """Yield a site with the kind of database that the fixture's parameter names, for a whole module."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        for home in home_of_kind(request.param, request, folder, patch):
            made = Site(home, folder / "drawn")
            yield made
            made.database.close()


class Site:
    """A study with drawn cells, an account of each role, and its routes."""

    def __init__(self, home: Path, scratch: Path) -> None:
        self.services = drawn_study(home, scratch, num_slides=1)
        self.database = self.services.database
        for role in ROLES:
            accounts.add_account(self.database, role, role, PASSWORD)
        self.cells = catalog.cell_ids(self.database)
        self.app = gated(self.services)

    def program(self, account: str, **headers: str) -> TestClient:
        """Return a client with a token of an account."""
        secret = tokens.create(self.database, account, "test").secret
        return self.client(Authorization=f"Bearer {secret}", **headers)

    def client(self, **headers: str) -> TestClient:
        return TestClient(self.app, follow_redirects=False, headers=headers)

    def last_event(self) -> dict:
        with self.database.read() as session:
            return json.loads(session.scalar(select(Event.body).order_by(Event.seq.desc()).limit(1)))
