"""The page of the sign-in speaks the language of the browser, also where something went wrong."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app.sign_in import SignInGate
from app.sign_in_routes import sign_in_routes
from labeling.accounts import FailureBrake

GERMAN = {"accept-language": "de-AT,de;q=0.9,en;q=0.8"}


@pytest.fixture
def client(services):
    brake = FailureBrake(services.database)
    routes = sign_in_routes(services.database, brake, has_sign_on=True)
    return TestClient(Starlette(routes=routes, middleware=[Middleware(SignInGate, database=services.database)]))


def test_page__in_german(client) -> None:
    told = client.get("/login", headers=GERMAN).text

    assert '<html lang="de">' in told
    assert [
        text for text in ("Anmelden", "Passwort", "Konto der Klinik", "Kein Medizinprodukt") if text not in told
    ] == []
    assert "Sign in" not in told


def test_wrong_password__in_the_browsers_language_and_in_english_for_all_others(client) -> None:
    wrong = {"name": "ada", "password": "no"}

    assert "Name oder Passwort ist falsch." in client.post("/login", data=wrong, headers=GERMAN).text
    told = client.post("/login", data=wrong, headers={"accept-language": "fi"}).text
    assert '<html lang="en">' in told
    assert "Name or password is wrong." in told
