"""The hospital's sign-on against a real provider on loopback: who gets in, as what, and who does not."""

import html
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app.api import api_routes
from app.services import Services
from app.settings import SETTINGS_FILE, Settings
from app.sign_in import COOKIE, SignInGate
from app.sign_in_routes import sign_in_routes
from app.sign_on import SignOnSettings, open_sign_on
from app.sign_on_routes import sign_on_routes
from datasets.errors import SettingsError
from labeling import accounts, identities
from labeling.accounts import FailureBrake
from labeling.errors import AccountError
from labeling.verification import check_chain
from tests.oidc_provider import SECRET, Provider, settings_text
from tests.studies import on_both

SERVER = "http://127.0.0.1:8501"


@pytest.fixture
def provider():
    with Provider() as running:
        yield running


def _site(home: Path, provider: Provider, **settings: str):
    home.mkdir(exist_ok=True)
    (home / SETTINGS_FILE).write_text(settings_text(provider.issuer, SERVER, **settings))
    (home / "sign-on.secret").write_text(SECRET)
    (home / "sign-on.secret").chmod(0o600)
    return _routes(home)


def _routes(home: Path) -> Starlette:
    """Return what the server has beside Streamlit's pages, of which a process can have only one."""
    services = Services.open(home)
    sign_on = open_sign_on(home, services.secret_key)
    routes = [*sign_in_routes(services.database, FailureBrake(services.database), has_sign_on=sign_on is not None),
              *sign_on_routes(services.database, sign_on), *api_routes(services)]  # fmt: skip
    return Starlette(routes=routes, middleware=[Middleware(SignInGate, database=services.database)])


def _there(client: TestClient, link: str = "/sign-on") -> str:
    """Go to the provider as a browser does; return the address to which it sends the browser back."""
    answer = client.get(link)
    assert answer.status_code == 303
    return httpx.get(answer.headers["location"]).headers["location"]


def _sign_in(inner) -> tuple[TestClient, httpx.Response]:
    client = TestClient(inner, base_url=SERVER, follow_redirects=False)
    way_back = urlsplit(_there(client))
    return client, client.get(f"{way_back.path}?{way_back.query}")


def _people(home: Path) -> dict[str, tuple[str, bool]]:
    services = Services.open(home)
    found = {a.name: (a.role, a.disabled_at is None) for a in accounts.list_accounts(services.database)}
    assert check_chain(services.database).problems == ()
    services.database.close()
    return found


@on_both
def test_sign_on__opens_an_ordinary_sign_in_with_the_role_of_the_group(
    new_home: Path, provider: Provider, monkeypatch
) -> None:
    monkeypatch.setenv("CYTOJEPA_DATABASE", Settings.load(new_home).database)
    inner = _site(new_home, provider)
    client, answer = _sign_in(inner)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/api/v1/worklist").status_code == 200
    assert _people(new_home) == {"h.weber": ("annotator", True)}
    provider.person |= {"groups": ["other", "cyto-heads"], "preferred_username": "h.weber-married"}
    assert _sign_in(inner)[0].get("/api/cases").status_code == 200
    assert _people(new_home) == {"h.weber": ("adjudicator", True)}, "known by the lasting name"
    services = Services.open(new_home)
    accounts.disable(services.database, "h.weber")
    services.database.close()

    assert client.get("/api/v1/worklist").status_code == 401, "revoked like any other"
    assert _sign_in(inner)[1].status_code == 403
    assert _people(new_home)["h.weber"][1] is False


@pytest.mark.parametrize("faults", [
    {"iss": "http://127.0.0.1:1/other"}, {"aud": "another-client"}, {"nonce": "another"},
    {"exp": 1}, {"sub": None}, {"groups": ["cooks"]}, {"groups": []}, {"preferred_username": ""},
    {"preferred_username": "imported"}, {"aud": ["cytojepa-test", "other"], "azp": "other"},
], ids=str)  # fmt: skip
def test_sign_on__a_wrong_token_opens_nothing(tmp_path: Path, provider: Provider, faults: dict) -> None:
    provider.faults = faults
    client, answer = _sign_in(_site(tmp_path / "home", provider))

    assert (answer.status_code, COOKIE in client.cookies) == (403, False)
    assert _people(tmp_path / "home") == {}


def test_sign_on__another_key_or_no_signature_opens_nothing(tmp_path: Path, provider: Provider) -> None:
    provider.signing_key = RSAKey.generate_key(2048, {"kid": "one"})

    assert _sign_in(_site(tmp_path / "home", provider))[1].status_code == 403


def test_sign_on__the_way_back_fits_one_browser_once(tmp_path: Path, provider: Provider) -> None:
    inner = _site(tmp_path / "home", provider)
    client, other = (TestClient(inner, base_url=SERVER, follow_redirects=False) for _ in range(2))
    back = urlsplit(_there(client))
    assert other.get(f"{back.path}?{back.query}").status_code == 403, "a browser that has not asked"
    _there(other)
    assert other.get(f"{back.path}?{back.query}").status_code == 403, "the state of another browser"
    cookie = client.cookies["cytojepa_sign_on"]
    assert client.get(f"{back.path}?{back.query}").status_code == 303
    client.cookies.clear()
    client.cookies.set("cytojepa_sign_on", cookie)
    assert client.get(f"{back.path}?{back.query}").status_code == 403, "used already"
    client.cookies.set("cytojepa_sign_on", "x" + cookie)
    code = parse_qs(back.query)["code"][0]
    assert client.get(f"{back.path}?code={code}").status_code == 403
    assert client.get("/sign-on/back?error=access_denied").status_code == 403


def test_new_accounts__refused_disabled_or_linked(tmp_path: Path, provider: Provider) -> None:
    home = tmp_path / "home"
    inner = _site(home, provider, new_accounts="refused")
    assert _sign_in(inner)[1].status_code == 403
    assert _people(home) == {}
    inner = _site(home, provider, new_accounts="disabled")
    assert _sign_in(inner)[1].status_code == 403
    assert _people(home) == {"h.weber": ("annotator", False)}
    services = Services.open(home)
    accounts.enable(services.database, "h.weber")
    assert _sign_in(inner)[1].status_code == 303
    assert not accounts.verify(services.database, "h.weber", accounts.NO_PASSWORD)
    accounts.add_account(services.database, "ada", "annotator", "a long password")
    provider.person = {"sub": "12", "preferred_username": "ada", "groups": "cyto-doctors"}
    assert _sign_in(inner)[1].status_code == 403, "nobody gets an account by its name"
    identities.link(services.database, "ada", issuer=provider.issuer, subject="12")
    assert _sign_in(inner)[1].status_code == 303
    with pytest.raises(AccountError, match="linked already"):
        identities.link(services.database, "h.weber", issuer=provider.issuer, subject="13")
    services.database.close()


def test_provider_gone__is_told_and_passwords_still_work(tmp_path: Path) -> None:
    with Provider() as running:
        inner = _site(tmp_path / "home", running)
    client = TestClient(inner, base_url=SERVER, follow_redirects=False)
    answer = client.get("/sign-on")

    assert (answer.status_code, "cannot be reached" in answer.text) == (502, True)
    assert "Sign in with the hospital" in client.get("/login").text
    assert 'value="/gallery"' in client.get("/sign-on", params={"next": "/gallery"}).text


@pytest.mark.parametrize(("wanted", "found"), [("/slide?cell=CE-1", "/slide?cell=CE-1"), ("//evil.example", "/")])
def test_page_that_was_left__is_where_the_sign_on_leads(
    tmp_path: Path, provider: Provider, wanted: str, found: str
) -> None:
    client = TestClient(_site(tmp_path / "home", provider), base_url=SERVER, follow_redirects=False)
    link = re.search(r'href="(/sign-on[^"]*)"', client.get("/login", params={"next": wanted}).text)[1]
    way_back = urlsplit(_there(client, html.unescape(link)))
    answer = client.get(f"{way_back.path}?{way_back.query}")

    assert (answer.status_code, answer.headers["location"]) == (303, found)


@pytest.mark.parametrize(("new_accounts", "faults", "said"), [
    ("refused", {}, "Sie haben kein Konto in dieser Studie."), ("disabled", {}, "Ihr Konto ist nicht freigeschaltet."),
    ("enabled", {"groups": []}, "Ihr Konto der Klinik hat keine Rolle"),
    ("enabled", {"exp": 1}, "hat nicht funktioniert"),
])  # fmt: skip
def test_refusals__are_told_in_the_language_of_the_browser(
    tmp_path: Path, provider: Provider, new_accounts: str, faults: dict, said: str
) -> None:
    provider.faults = faults
    client = TestClient(_site(tmp_path / "home", provider, new_accounts=new_accounts), base_url=SERVER,
                        follow_redirects=False, headers={"Accept-Language": "de"})  # fmt: skip
    way_back = urlsplit(_there(client))
    answer = client.get(f"{way_back.path}?{way_back.query}")

    assert (answer.status_code, said in answer.text, 'lang="de"' in answer.text) == (403, True, True)


def test_without_a_sign_on__there_is_none(tmp_path: Path) -> None:
    client = TestClient(_routes(tmp_path / "home"), follow_redirects=False)

    assert [client.get(path).status_code for path in ("/sign-on", "/sign-on/back?code=1&state=2")] == [404, 404]
    assert "hospital" not in client.get("/login").text


@pytest.mark.parametrize(("change", "told"), [
    (("https://idp", "http://idp"), "https"), (("/sign-on/back", "/back"), "end in"),
    (('"annotator"', '"boss"'), "boss"),
    (('"enabled"', '"open"'), "new_accounts"), (("client_id", "client"), "unknown"),
])  # fmt: skip
def test_settings__that_make_no_sense_are_refused(tmp_path: Path, change, told: str) -> None:
    text = settings_text("https://idp.example", "https://cyto.example")
    (tmp_path / SETTINGS_FILE).write_text(text)
    loaded = SignOnSettings.load(tmp_path)
    with pytest.raises(SettingsError, match="no client secret"):
        loaded.secret(tmp_path)
    (tmp_path / "sign-on.secret").write_text("s")
    (tmp_path / "sign-on.secret").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        loaded.secret(tmp_path)
    (tmp_path / SETTINGS_FILE).write_text(text.replace(*change))
    with pytest.raises(SettingsError, match=told):
        SignOnSettings.load(tmp_path)
