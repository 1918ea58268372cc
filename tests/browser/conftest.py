"""A real server and a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from labeling import accounts
from tests.builders import drawn_study

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PASSWORD = "a long test password"


class Server:
    """`cytojepa serve` as a child process that can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home, self.log = home, home / "server.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "app.cli", "serve", "--home", str(self.home), "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        for _ in range(300):
            try:
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        pytest.fail(self.log.read_text())

    def kill(self) -> None:
        os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    services = drawn_study(folder / "home", folder / "drawn", 3)
    for name in ("ada", "ben"):
        accounts.add_account(services.database, name, "annotator", PASSWORD)
    services.database.close()
    running = Server(folder / "home")
    running.start()
    yield running
    running.kill()
    sys.stderr.write(running.log.read_text()[-3000:])


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or "chromium"
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, server):
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.goto(server.url)
    opened.fill("input[name=name]", "ada")
    opened.fill("input[name=password]", PASSWORD)
    opened.click("button")
    opened.wait_for_selector(".deck[data-cell]", timeout=60_000)
    yield opened
    opened.close()
