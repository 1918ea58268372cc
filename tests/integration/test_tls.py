"""What the guides tell of TLS, done: nginx before the pages, certificates of database and sign-on, `.pgpass`."""

import os
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from app.services import Services
from app.settings import Settings
from app.sign_on import SignOn, SignOnRefused, SignOnSettings
from datasets.errors import DatabaseError
from labeling import accounts
from tests.browser_server import PASSWORD as PERSONS_PASSWORD
from tests.browser_server import Server as Pages
from tests.builders import study_of_cells
from tests.certificates import Authority
from tests.docs_text import DOCS
from tests.oidc_provider import CLIENT, SECRET, Provider
from tests.postgresql import APP, PASSWORD, Server
from tests.waiting import free_port, until

PROGRAM = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
HOST = "labels.hospital.example"


def _configuration(page: str) -> str:
    """Return the nginx example of a page, which is the indented block with `listen 443`."""
    text = (DOCS / page).read_text()
    return next(block for block in re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.M) if "listen 443" in block)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("pages") / "home"
    services = study_of_cells(home, 5)
    accounts.add_account(services.database, "ada", "annotator", PERSONS_PASSWORD)
    services.database.close()
    running = Pages(home)
    running.start()
    yield running
    running.kill()


@pytest.mark.skipif(PROGRAM is None, reason="no nginx here")
@pytest.mark.parametrize("page", ["operations.md", "postgresql.md"])
def test_proxy__of_the_guide_carries_sign_in_labels_and_the_pages(
    page: str, pages: Pages, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.sign(HOST)
    port, folder = free_port(), tmp_path / "nginx"
    folder.mkdir()
    told = _configuration(page).replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    told = told.replace("/etc/ssl/labels.crt", str(certificate)).replace("/etc/ssl/labels.key", str(key))
    told = re.sub(r"127\.0\.0\.1:850[12]", f"127.0.0.1:{pages.port}", told)
    own = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    around = f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\nhttp {{ access_log off; {own}\n"
    (folder / "nginx.conf").write_text(f"{around}{told}}}\n")
    with subprocess.Popen([str(PROGRAM), "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL) as nginx:
        try:
            _label_through(port, authority.file, pages.home)
        finally:
            nginx.terminate()


def _label_through(port: int, trusted: Path, home: Path) -> None:
    """Sign in, open the pages' websocket and label, as a browser that trusts the authority."""
    context, address = ssl.create_default_context(cafile=str(trusted)), f"{HOST}:{port}"
    named, says = {"sni_hostname": HOST}, {"host": address, "origin": f"https://{address}", "accept": "text/html"}
    with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{port}", timeout=60, headers=says) as browser:
        until(lambda: _is_healthy(browser, named))
        signed_in = browser.post("/login", data={"name": "ada", "password": PERSONS_PASSWORD}, extensions=named)
        cookie = signed_in.headers["set-cookie"]
        assert (signed_in.status_code, "; Secure" in cookie) == (303, True)
        session = {"cookie": cookie.split(";")[0]}
        of_the_pages = browser.get("/_stcore/health", headers=session, extensions=named).headers.get_list("set-cookie")
        assert [("_streamlit_xsrf" in other, "; Secure" in other) for other in of_the_pages] == [(True, True)]
        document = browser.get("/", headers=session, extensions=named)
        (script,) = re.findall(r'<script type="module" [^>]*src="(/static/[^"]+)"', document.text)
        assert browser.get(script, headers=session, extensions=named).headers["content-encoding"] == "gzip"
        raw = socket.create_connection(("127.0.0.1", port))
        with connect(f"wss://{address}/_stcore/stream", sock=raw, ssl=context, additional_headers=session,
                     origin=says["origin"], subprotocols=["streamlit"]) as stream:  # type: ignore[list-item]  # fmt: skip
            assert stream.subprotocol == "streamlit"
        (item, *_) = browser.get("/api/v1/worklist", headers=session, extensions=named).json()["items"]
        change = session | {"x-csrf-token": _csrf_token(home, session["cookie"].split("=", 1)[1])}
        event = {"kind": "label", "key": f"through {port}", "cell": item["cell"], "category": "HSIL"}
        told = browser.post("/api/v1/labels", json={"events": [event]}, headers=change, extensions=named).json()
        assert told["receipts"][0]["accepted"], told


def _csrf_token(home: Path, session: str) -> str:
    """Return the token that the page would bring along."""
    services = Services.open(home)
    person = accounts.check_sign_in(services.database, session)
    services.database.close()
    assert person is not None
    return person.csrf_token


def _is_healthy(browser: httpx.Client, named: dict[str, str]) -> bool:
    try:
        return browser.get("/health", extensions=named).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def tls_server(server: Server, authority: Authority):
    """The tests' database server, which proves to be `localhost` while a test lasts."""
    certificate, key = server.keep(*authority.sign("localhost"))
    with server.admin() as connection:
        connection.execute(f"ALTER SYSTEM SET ssl_cert_file = '{certificate}'")
        connection.execute(f"ALTER SYSTEM SET ssl_key_file = '{key}'")
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")
    yield server
    with server.admin() as connection:
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")


def test_database__is_trusted_by_its_authority_and_opened_by_pgpass(
    tls_server: Server, study_template: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, home = tls_server.database(study_template), tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    (home / ".postgresql").mkdir(parents=True)
    refused = []
    for host, ready in (
        ("localhost", _nothing),
        ("localhost", _authority),
        ("localhost", _readable),
        ("127.0.0.1", _closed),
    ):
        ready(home, authority)
        address = f"postgresql://{APP}@{host}:{tls_server.port}/{url.database}?sslmode=verify-full&hostaddr=127.0.0.1"
        Settings(database=address).save(home)
        with pytest.raises(DatabaseError) as error:
            Services.open(home)
        refused.append(str(error.value))
    Settings(database=address.replace("@127.0.0.1", "@localhost")).save(home)
    Services.open(home).database.close()
    tls_server.drop(str(url.database))

    for said, way_out in zip(
        refused,
        ("sslrootcert=FILE", "DATABASE_PASSWORD_FILE", "mode 0600", "that the server's certificate"),
        strict=True,
    ):
        assert way_out in said


def test_sign_on__provider_of_the_hospitals_own_authority(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Provider(authority.sign("localhost")) as provider:
        settings = SignOnSettings(issuer=provider.issuer, client_id=CLIENT, roles={"cyto-doctors": "annotator"},
                                  redirect=f"https://{HOST}/sign-on/back")  # fmt: skip
        sign_on = SignOn(settings, SECRET, b"k" * 32)
        with pytest.raises(SignOnRefused, match="cannot be reached"):
            sign_on.begin()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
        address, _ = sign_on.begin()

    assert address.startswith(f"{provider.issuer}/authorize?")


def _nothing(_home: Path, _authority: Authority) -> None:
    pass


def _authority(home: Path, authority: Authority) -> None:
    shutil.copyfile(authority.file, home / ".postgresql" / "root.crt")


def _readable(home: Path, _authority: Authority) -> None:
    (home / ".pgpass").write_text(f"*:*:*:{APP}:{PASSWORD}\n")
    (home / ".pgpass").chmod(0o644)


def _closed(home: Path, _authority: Authority) -> None:
    (home / ".pgpass").chmod(0o600)
