"""What a stranger may try at the doors: guessing, flooding, forging; and what is left open by mistake."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.testclient import TestClient

from app.services import Services
from app.sign_in import COOKIE, SignInGate
from app.sign_in_routes import sign_in_routes
from app.sign_on_routes import sign_on_routes
from labeling import accounts
from labeling.accounts import FailureBrake
from tests.studies import on_both

PASSWORD, WRONG = "a long password", "another password"
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def _swallow(request: Request) -> Response:
    """Read a body whole, as a route does that expects a short one."""
    return JSONResponse({"bytes": len(await request.body())})


@pytest.fixture
def site(services: Services) -> Starlette:
    accounts.add_account(services.database, "ada", "annotator", PASSWORD)
    doors = sign_in_routes(services.database, FailureBrake(services.database))
    swallow = [Route(path, _swallow, methods=["PUT", "POST"]) for path in ("/api/finds", "/_stcore/upload_file/s/f")]
    return Starlette(routes=[*doors, *swallow], middleware=[Middleware(SignInGate, database=services.database)])


def _client(site: Starlette, base_url: str = "http://testserver") -> TestClient:
    return TestClient(site, base_url=base_url, follow_redirects=False)


def _signed_in(services: Services) -> tuple[str, dict[str, str]]:
    token = accounts.open_sign_in(services.database, "ada")
    return token, {"x-csrf-token": accounts.check_sign_in(services.database, token).csrf_token}


def _together(site, *requests: tuple[str, str, dict]) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(site)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=150) as client:
            return await asyncio.gather(*(client.request(how, where, **more) for how, where, more in requests))

    return asyncio.run(ask())


@on_both
def test_guessing__many_at_once_are_slowed_down_as_one_after_the_other(site: Starlette) -> None:
    tries = [("POST", "/login", {"data": {"name": "ada", "password": f"{WRONG} {n}"}}) for n in range(30)]
    found = Counter(answer.status_code for answer in _together(site, *tries))

    assert found.keys() == {401, 429}
    assert found[401] <= 7, "five are free, and two are looked at together"


@on_both
@pytest.mark.parametrize("name", ["ada\0", "\0", "x" * 5000, "imported", "", " ada"])
def test_names__that_nobody_can_have_are_wrong_like_all_others(site: Starlette, name: str) -> None:
    answer = _client(site).post("/login", data={"name": name, "password": PASSWORD})

    assert (answer.status_code, "Name or password is wrong" in answer.text) == (401, True)


def test_wrong_password__leaves_the_name_as_it_was_typed_and_asks_for_the_password(site: Starlette) -> None:
    client = _client(site)
    page = client.post("/login", data={"name": 'a"da<b>', "password": WRONG}, headers={"Accept-Language": "de"}).text

    assert 'value="a&quot;da&lt;b&gt;" autocomplete="username" required' in page
    assert 'autocomplete="current-password" autofocus' in page
    assert "Name oder Passwort ist falsch" in page
    assert 'autocomplete="username" autofocus' in client.get("/login").text


@pytest.mark.parametrize(("wanted", "found"), [
    ("/gallery", "/gallery"), ("/slide?cell=CE-1&from=label", "/slide?cell=CE-1&from=label"), ("", "/"),
    ("//evil.example", "/"), ("https://evil.example/", "/"), ("/\\evil.example", "/"), ("/logout", "/"),
    ("/label?x=\r\nSet-Cookie:", "/"),
])  # fmt: skip
def test_sign_in__leads_back_to_the_page_and_never_away_from_the_site(site: Starlette, wanted: str, found: str) -> None:
    client = _client(site)
    door = client.get("/login", params={"next": wanted, "locked": "1"}).text
    answer = client.post("/login", data={"name": "ada", "password": PASSWORD, "next": wanted})

    assert ("You are signed out." in door, f'value="{found.replace("&", "&amp;")}"' in door) == (True, True)
    assert (answer.status_code, answer.headers["location"]) == (303, found)


@pytest.mark.parametrize(("asked", "door"), [
    ("/slide?cell=CE-1&from=label", "/login?next=%2Fslide%3Fcell%3DCE-1%26from%3Dlabel"),
    ("/gallery", "/login?next=%2Fgallery"), ("/", "/login"), ("/anything", "/login"), ("/static/x.js", "/login"),
])  # fmt: skip
def test_link_to_a_page__leads_a_stranger_to_the_door_and_from_there_to_the_page(
    site: Starlette, asked: str, door: str
) -> None:
    answer = _client(site).get(asked, headers={"accept": "text/html"})

    assert (answer.status_code, answer.headers["location"]) == (303, door)


def test_second_tab_at_the_door__goes_on_with_the_sign_in_of_the_first(site: Starlette, services: Services) -> None:
    token, _ = _signed_in(services)
    cookie = {"cookie": f"{COOKIE}={token}"}
    answer = _client(site).get("/login", params={"next": "/slide?cell=CE-1", "locked": "1"}, headers=cookie)

    assert (answer.status_code, answer.headers["location"]) == (303, "/slide?cell=CE-1")
    assert "set-cookie" not in answer.headers
    accounts.end_sign_in(services.database, token)
    assert _client(site).get("/login", headers=cookie).status_code == 200


def test_bodies__of_strangers_are_short(site: Starlette) -> None:
    """Else whoever reaches the server fills its memory, or with a file its disk."""
    client = _client(site)

    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"name=" + b"x" * 1000

    assert client.post("/login", data={"name": "ada", "password": "x" * 20_000}).status_code == 413
    assert client.post("/login", files={"name": b"x" * 3_000_000}).status_code == 413
    assert client.post("/login", files={"name": b"x"}).status_code == 400
    (answer,) = _together(site, ("POST", "/login", {"content": in_pieces(), "headers": FORM}))
    assert answer.status_code == 413
    assert client.post("/login", content=b"&".join([b"a=b"] * 50), headers=FORM).status_code == 400
    assert client.post("/sign-on", content=b"x" * 20_000).status_code == 413


def test_bodies__of_who_is_signed_in_are_limited_and_no_file_is_taken(services: Services, site: Starlette) -> None:
    token, headers = _signed_in(services)
    headers["cookie"] = f"{COOKIE}={token}"

    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1000

    short, long, pieces, upload = _together(
        site, ("POST", "/api/finds", {"content": b"x" * 200_000, "headers": headers}),
        ("POST", "/api/finds", {"content": b"x" * 300_000, "headers": headers}),
        ("POST", "/api/finds", {"content": in_pieces(), "headers": headers}),
        ("PUT", "/_stcore/upload_file/s/f", {"content": b"x", "headers": headers}),
    )  # fmt: skip

    assert [answer.status_code for answer in (short, long, pieces, upload)] == [200, 413, 413, 403]


@pytest.mark.parametrize(
    "before", ['portal[x]={"a": 1}; ', "other app=1; ", "x=\u00e4; ", "=; ", '"; ', "a=b,c; ", "cytojepa_session_=no; "]
)
def test_cookies__of_other_programs_of_the_hospital_put_nobody_out(
    services: Services, site: Starlette, before: str
) -> None:
    token, headers = _signed_in(services)
    cookie = f"{before}{COOKIE}={token}".encode()

    assert _client(site).post("/api/finds", headers={b"cookie": cookie, **headers}).status_code == 200


@pytest.mark.parametrize(
    ("url", "origin", "is_own"),
    [
        ("http://testserver", "http://testserver", True),
        ("https://testserver", "https://testserver", True),
        ("https://testserver", "http://testserver", False),  # whoever sits in the network can make such a page
        ("http://testserver", "null", False),
        ("http://testserver", "http://[", False),
        ("http://testserver", "http://testserver.evil.example", False),
        ("http://testserver", "http://testserver:8080", False),
        ("http://testserver", "", False),
    ],
)
def test_origins__only_the_own_page_signs_in_and_changes(
    services: Services, site: Starlette, url: str, origin: str, is_own: bool
) -> None:
    token, headers = _signed_in(services)
    client = _client(site, url)
    change = client.post("/api/finds", headers={"cookie": f"{COOKIE}={token}", "origin": origin, **headers})
    sign_in = client.post("/login", data={"name": "ada", "password": PASSWORD}, headers={"origin": origin})

    assert (change.status_code, sign_in.status_code) == ((200, 303) if is_own else (403, 403))


@pytest.mark.parametrize(("site_of_asker", "is_out"), [("cross-site", False), ("same-origin", True), (None, True)])
def test_logout__another_site_signs_nobody_out(
    services: Services, site: Starlette, site_of_asker: str | None, is_out: bool
) -> None:
    token, _ = _signed_in(services)
    more = {} if site_of_asker is None else {"sec-fetch-site": site_of_asker}
    _client(site).get("/logout", headers={"cookie": f"{COOKIE}={token}", **more})

    assert (accounts.check_sign_in(services.database, token) is None) == is_out


@pytest.mark.parametrize(("url", "is_secure"), [("https://testserver", True), ("http://testserver", False)])
def test_cookies__are_sent_back_by_tls_only_where_they_came_by_it(site: Starlette, url: str, is_secure: bool) -> None:
    client = _client(site, url)
    (own,) = client.post("/login", data={"name": "ada", "password": PASSWORD}).headers.get_list("set-cookie")
    (gone,) = client.get("/logout").headers.get_list("set-cookie")

    assert [cookie.lower().count("; secure") for cookie in (own, gone)] == [is_secure, is_secure]


def test_logout__asks_the_browser_to_forget_pictures_but_not_what_waits(site: Starlette) -> None:
    client = _client(site)
    client.post("/login", data={"name": "ada", "password": PASSWORD})

    assert client.get("/logout").headers["clear-site-data"] == '"cache"'


def test_sign_in__gives_a_new_token_each_time_and_never_the_one_that_was_brought(
    services: Services, site: Starlette
) -> None:
    brought = "x" * 43
    tokens = set()
    for _ in range(2):
        answer = _client(site).post("/login", data={"name": "ada", "password": PASSWORD},
                                    headers={"cookie": f"{COOKIE}={brought}"})  # fmt: skip
        tokens.add(answer.headers["set-cookie"].split(";")[0].split("=", 1)[1])

    assert (len(tokens), brought in tokens) == (2, False)
    assert accounts.check_sign_in(services.database, brought) is None


class _SilentProvider:
    """A provider that does not answer before a label is stored."""

    def __init__(self) -> None:
        self.answers, self.waited_in_vain = threading.Event(), False

    def begin(self, _page: str) -> tuple[str, str]:
        self.waited_in_vain |= not self.answers.wait(20)
        return "https://provider.example", "cookie"


def test_sign_on__a_silent_provider_and_many_askers_stop_no_label(services: Services) -> None:
    provider = _SilentProvider()

    async def label(_request: Request) -> Response:
        await asyncio.sleep(0.5)
        await run_in_threadpool(provider.answers.set)  # in the pool of threads where labels are stored
        return JSONResponse({})

    routes = [*sign_on_routes(services.database, provider), Route("/label", label)]  # type: ignore[arg-type]
    asked = _together(Router(routes), *[("GET", "/sign-on", {})] * 90, ("GET", "/label", {}))

    assert asked[-1].status_code == 200
    assert not provider.waited_in_vain
    assert Counter(answer.status_code for answer in asked[:-1]).keys() <= {303, 503}
