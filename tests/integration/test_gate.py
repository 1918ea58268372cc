"""Nothing is answered to a stranger, and to each role only what is its own: route by route."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from streamlit.proto.BackMsg_pb2 import BackMsg

from app import open_pages
from app.server import build_app
from app.services import Services
from app.sign_in import COOKIE, OPEN_PATHS, ROUTE_RIGHTS, SignInGate, room_of
from datasets.db import utc_now
from labeling import accounts
from labeling.accounts import RIGHTS, ROLES
from labeling.records import SignIn

PASSWORD = "a long password"
SAMPLE = {
    "cell_id": "CE-0",
    "slide_id": "SL-0",
    "level": "0",
    "column": "0",
    "row": "0",
    "path": "x.js",
    "file_id": "f",
    "session_id": "s",
    "format_name": "csv",
}


def _walk(routes, prefix=""):
    """Yield (kind, path, methods) of every route, those of Streamlit included."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        for name, value in SAMPLE.items():
            for kind in ("", ":path", ":int"):
                path = path.replace(f"{{{name}{kind}}}", value)
        if isinstance(route, Mount):
            yield "mount", f"{path}/index.html", {"GET", "POST"}
            yield from _walk(route.routes or [], path)
        elif isinstance(route, WebSocketRoute):
            yield "websocket", path, set()
        elif isinstance(route, Route):
            yield "http", path, route.methods or {"GET", "POST", "PUT", "DELETE"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    home = tmp_path_factory.mktemp("site") / "home"
    services = Services.open(home)
    for role in ROLES:
        accounts.add_account(services.database, role, role, PASSWORD)
    app = build_app(home)
    inner = app._build_starlette_app()
    yield services, inner, list(_walk(inner.routes))
    services.database.close()


def _client(inner, token=None) -> TestClient:
    return TestClient(inner, follow_redirects=False, cookies={COOKIE: token} if token else None)


def test_routes__the_list_is_the_whole_site(site) -> None:
    _, _, routes = site
    paths = {path for _, path, _ in routes}

    assert {"/login", "/logout", "/health", "/api/v1/worklist", "/api/v1/labels"} <= paths
    assert any(kind == "websocket" for kind, _, _ in routes)
    assert any("media" in path for path in paths), paths
    assert any("upload_file" in path for path in paths), paths


def test_routes__every_one_is_closed_to_strangers(site) -> None:
    _, inner, routes = site
    client, tried = _client(inner), 0
    for kind, path, methods in routes:
        if path in OPEN_PATHS:
            continue
        if kind == "websocket":
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
                pytest.fail(path)
            tried += 1
        for method in methods:
            answer = client.request(method, path)
            assert answer.status_code in (401, 403), (method, path, answer.status_code)
            assert "content-security-policy" in answer.headers
            tried += 1

    assert tried > 20
    for path in ("/", "/anything", "/_stcore/host-config", "/_stcore/metrics", "/media/0123.png", "/static/x.js"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"accept": "text/html"}).headers["location"] == "/login"


def test_routes__a_forged_or_ended_token_is_a_stranger(site) -> None:
    services, inner, _ = site
    token = accounts.open_sign_in(services.database, "annotator")
    assert _client(inner, token).get("/api/v1/worklist").status_code == 200
    accounts.end_sign_in(services.database, token)

    for bad in (token, "x" * 43, ""):
        assert _client(inner, bad).get("/api/v1/worklist").status_code == 401
    for raw in (b"cytojepa_session=\xc3\xa4", b"cytojepa_session", b"a=1; =;;", b"cytojepa_session=" + b"x" * 9000):
        assert _client(inner).get("/api/v1/worklist", headers={b"cookie": raw}).status_code == 401


def test_rights__every_route_of_ours_names_one(site) -> None:
    _, _, routes = site
    ours = {path for kind, path, _ in routes if kind == "http" and path.startswith("/api/")}

    assert {room_of(path) for path in ours} == set(ROUTE_RIGHTS)


@pytest.mark.parametrize("role", ROLES)
def test_rights__matrix_route_by_route(site, role: str) -> None:
    services, inner, routes = site
    token = accounts.open_sign_in(services.database, role)
    person = accounts.check_sign_in(services.database, token)
    client = _client(inner, token)
    for kind, path, methods in routes:
        if kind != "http" or not path.startswith("/api/"):
            continue
        right = ROUTE_RIGHTS[room_of(path)]
        for method in methods - {"HEAD"}:
            answer = client.request(method, path, headers={"x-csrf-token": person.csrf_token})
            assert (answer.status_code == 403) == (right not in RIGHTS[role]), (role, method, path, answer.text)
            assert answer.status_code < 500
    assert client.get("/api/unheard-of").status_code == 403


def test_rights__who_may_what() -> None:
    who = {right: {role for role in ROLES if right in RIGHTS[role]} for right in frozenset().union(*RIGHTS.values())}

    assert who == {
        "label": {"annotator", "adjudicator", "admin"},
        "adjudicate": {"adjudicator", "admin"},
        "pictures": {"annotator", "adjudicator", "data-manager", "admin"},
        "quality": {"adjudicator", "data-manager", "admin"},
        "progress": set(ROLES),
        "export": {"adjudicator", "data-manager", "admin"},
        "runs": {"data-manager", "admin"},
        "audit": {"admin", "auditor"},
        "bias": {"adjudicator", "admin", "auditor"},
        "people": {"admin"},
    }


def test_rights__a_change_is_felt_at_the_next_action(site) -> None:
    services, inner, _ = site
    accounts.add_account(services.database, "moved", "annotator", PASSWORD)
    client = _client(inner, accounts.open_sign_in(services.database, "moved"))
    assert client.get("/api/v1/worklist").status_code == 200
    accounts.set_role(services.database, "moved", "auditor")
    assert client.get("/api/v1/worklist").status_code == 403
    accounts.disable(services.database, "moved")

    assert client.get("/api/v1/worklist").status_code == 401


def test_changes__need_the_own_page_and_origin(site) -> None:
    services, inner, _ = site
    token = accounts.open_sign_in(services.database, "annotator")
    right = accounts.check_sign_in(services.database, token).csrf_token
    client = _client(inner, token)
    body = {"events": [{"kind": "undo", "key": "u", "label_key": "none"}]}

    assert client.post("/api/v1/labels", json=body).status_code == 403
    assert client.post("/api/v1/labels", json=body, headers={"x-csrf-token": "no"}).status_code == 403
    evil = {"x-csrf-token": right, "origin": "http://evil.example"}
    assert client.post("/api/v1/labels", json=body, headers=evil).status_code == 403
    assert client.post("/api/v1/labels", json=body, headers={"x-csrf-token": right}).status_code == 200


def test_login__headers_cookie_and_back_off(site) -> None:
    _, inner, _ = site
    client = _client(inner)
    page = client.get("/login")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["x-frame-options"] == "DENY"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    for _ in range(5):
        assert client.post("/login", data={"name": "nobody", "password": "wrong"}).status_code == 401
    assert client.post("/login", data={"name": "nobody", "password": "wrong"}).status_code == 429
    answer = client.post("/login", data={"name": "auditor", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()

    assert (answer.status_code, "httponly" in cookie, "samesite=lax" in cookie) == (303, True, True)


@pytest.mark.parametrize(("column", "seconds"), [("seen_at", accounts.IDLE_SECONDS),
                                                 ("created_at", accounts.ABSOLUTE_SECONDS)])  # fmt: skip
def test_sign_in__idle_lock_and_absolute_end(site, column: str, seconds: int) -> None:
    services, inner, _ = site
    token = accounts.open_sign_in(services.database, "annotator")

    def answer_after(age: float) -> int:
        moment = (utc_now() - timedelta(seconds=age)).isoformat(timespec="microseconds")
        with services.database.write() as session:
            session.execute(text(f"UPDATE sign_ins SET {column} = :at WHERE ended_at IS NULL"), {"at": moment})
        return _client(inner, token).get("/api/v1/worklist").status_code

    assert answer_after(seconds - 60) == 200
    assert answer_after(seconds + 1) == 401


def test_websocket__an_open_one_ends_with_the_account(site) -> None:
    services, _, _ = site

    async def echo(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    accounts.add_account(services.database, "leaving", "annotator", PASSWORD)
    client = _client(SignInGate(echo, services.database), accounts.open_sign_in(services.database, "leaving"))
    with client.websocket_connect("/_stcore/stream") as socket:
        socket.send_text("one")
        assert socket.receive_text() == "one"
        accounts.disable(services.database, "leaving")
        time.sleep(1.1)
        socket.send_text("two")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


def _echo_page(services, name: str) -> TestClient:
    """Return a browser of a new account before an application that answers each message."""

    async def echo(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"]})

    accounts.add_account(services.database, name, "annotator", PASSWORD)
    return _client(SignInGate(echo, services.database), accounts.open_sign_in(services.database, name))


def test_websocket__a_silent_one_ends_with_the_account_too(site, monkeypatch) -> None:
    services, _, _ = site
    monkeypatch.setattr(open_pages, "SILENT_SECONDS", 0.2)
    with _echo_page(services, "silent").websocket_connect("/_stcore/stream") as socket:
        socket.send_bytes(b"")
        assert socket.receive_bytes() == b""
        time.sleep(1.2)
        accounts.disable(services.database, "silent")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_bytes()

    assert closed.value.code == open_pages.REVOKED


@pytest.mark.parametrize(("by_itself", "is_locked"), [(True, True), (False, False)])
def test_websocket__a_page_that_renews_itself_is_locked_when_idle(site, by_itself: bool, is_locked: bool) -> None:
    services, _, _ = site
    name = f"away-{by_itself}"
    client, message = _echo_page(services, name), BackMsg()
    message.rerun_script.is_auto_rerun = by_itself

    def age(seconds: float) -> None:
        statement = text("UPDATE sign_ins SET seen_at = :at WHERE account = :name")
        with services.database.write() as session:
            session.execute(statement, {"at": (utc_now() - timedelta(seconds=seconds)).isoformat(), "name": name})

    with client.websocket_connect("/_stcore/stream") as socket:
        age(accounts.IDLE_SECONDS - 60)
        time.sleep(1.1)
        socket.send_bytes(message.SerializeToString())
        socket.receive_bytes()
    with services.database.read() as session:
        seen = session.scalars(select(SignIn.seen_at).where(SignIn.account == name)).one()

    assert ((utc_now() - seen).total_seconds() > 600) == is_locked


def test_websocket__another_origin_is_refused(site) -> None:
    services, inner, _ = site
    client = _client(inner, accounts.open_sign_in(services.database, "annotator"))

    with pytest.raises(WebSocketDisconnect), client.websocket_connect(
        "/_stcore/stream", headers={"origin": "http://evil.example"}
    ):  # fmt: skip
        pytest.fail("accepted")
