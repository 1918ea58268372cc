"""The server talks to nobody but the browsers on its own address."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from app.services import Services
from labeling import accounts

PASSWORD = "a long password"
WATCHED = """
import json, sys
log = open(sys.argv[1], "a", buffering=1)
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        log.write(json.dumps([event, str(arguments[1])]) + "\\n")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request"):
        log.write(json.dumps([event, str(arguments[0])]) + "\\n")
sys.addaudithook(watch)
from app.cli import main
main(sys.argv[2:])
"""


def _calls(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def _is_local(what: str) -> bool:
    return "127.0.0.1" in what or "::1" in what or "localhost" in what or what.startswith(("/", "b'/", "None"))


def test_watch__would_see_a_call_outside(tmp_path: Path) -> None:
    script = WATCHED.split("from app.cli")[0] + (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(1)\n"
        "try:\n    s.connect(('192.0.2.1', 9))\nexcept OSError:\n    pass\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "log")], check=True)

    assert [what for _, what in _calls(tmp_path / "log") if not _is_local(what)] == ["('192.0.2.1', 9)"]


def test_serve__no_call_leaves_the_machine(tmp_path: Path) -> None:
    services = Services.open(tmp_path / "home")
    accounts.add_account(services.database, "ada", "admin", PASSWORD)
    services.database.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log, url = tmp_path / "log", f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", WATCHED, str(log), "serve", "--home", str(tmp_path / "home"), "--port", str(port)]
    with (tmp_path / "out").open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait(url, tmp_path / "out")
        with httpx.Client(base_url=url, headers={"accept": "text/html"}) as client:
            assert client.post("/login", data={"name": "ada", "password": PASSWORD}).status_code == 303
            for path in ("/", "/_stcore/host-config", "/_stcore/health", "/api/v1/worklist", "/progress"):
                assert client.get(path).status_code == 200, path
        # The other loopback addresses stand for those of the network: only the named one is listened to.
        with socket.socket() as stranger:
            assert stranger.connect_ex(("127.0.0.2", port)) != 0
        time.sleep(2)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    assert [call for call in _calls(log) if not _is_local(call[1])] == []


def _wait(url: str, out: Path) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(out.read_text())
