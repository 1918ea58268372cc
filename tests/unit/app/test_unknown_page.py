"""Addresses without a page, through the gate."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.sign_in import COOKIE, SignInGate
from labeling import accounts, preferences
from labeling.preferences import Preferences

PAGE = {"accept": "text/html"}


@pytest.fixture
def opened(services):
    """Return a function that gives a signed-in browser of a role; whatever passes the gate is told `behind`."""

    def client(role: str) -> TestClient:
        accounts.add_account(services.database, role, role, "a long password")
        behind = Starlette(routes=[Route("/{path:path}", lambda _request: PlainTextResponse("behind"))])
        token = accounts.open_sign_in(services.database, role)
        return TestClient(SignInGate(behind, services.database), follow_redirects=False, cookies={COOKIE: token})

    return client


def test_page__that_the_role_sees_passes_and_the_first_one_is_found_at_its_name(opened) -> None:
    doctor = opened("annotator")

    assert {doctor.get(path, headers=PAGE).text for path in ("/", "/gallery", "/tour", "/media/x.csv")} == {"behind"}
    assert doctor.get("/label", headers=PAGE).headers["location"] == "/"
    assert doctor.get("/nowhere").text == "behind", "no browser that opens a page"


@pytest.mark.parametrize("path", ["/nowhere", "/slide/nowhere", "/gallery.html"])
def test_address_without_a_page__is_told_with_a_way_back(opened, path: str) -> None:
    told = opened("annotator").get(path, headers=PAGE)

    assert told.status_code == 404
    assert "There is no page at this address." in told.text
    assert 'href="/"' in told.text
    assert "content-security-policy" in told.headers


def test_address__is_told_in_the_language_of_the_account_else_of_the_browser(opened, services) -> None:
    doctor, german = opened("annotator"), "Unter dieser Adresse gibt es keine Seite."
    assert german in doctor.get("/nowhere", headers={**PAGE, "accept-language": "de-DE,de;q=0.9"}).text
    preferences.store(services.database, "annotator", Preferences(language="de"))

    assert german in doctor.get("/nowhere", headers={**PAGE, "accept-language": "en"}).text


def test_page__that_the_role_does_not_see_is_told_as_such(opened) -> None:
    doctor, manager = opened("annotator"), opened("data-manager")
    for client, path in ((doctor, "/audit"), (doctor, "/jobs/"), (manager, "/label"), (manager, "/tour")):
        told = client.get(path, headers=PAGE)
        assert (told.status_code, "does not see this page" in told.text) == (403, True), path
