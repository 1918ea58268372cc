"""The routes below `/api/` without the gate: whoever asks is who the test says."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app.api import api_routes
from app.pictures import Pictures
from app.services import Services
from labeling.accounts import SignedIn


class _As:
    def __init__(self, app, name: str, role: str) -> None:
        self._app, self._who = app, SignedIn(name=name, role=role, csrf_token="csrf")

    async def __call__(self, scope, receive, send) -> None:
        scope.setdefault("state", {})["signed_in"] = self._who
        await self._app(scope, receive, send)


def client_of(services: Services, pictures: Pictures, name: str, role: str = "annotator") -> TestClient:
    """Return a client that asks in this person's name."""
    return TestClient(
        Starlette(routes=api_routes(services, pictures), middleware=[Middleware(_As, name=name, role=role)])
    )
