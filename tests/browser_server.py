"""`cytojepa serve` for the browser tests."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

PASSWORD = "a long test password"


class Server:
    """`cytojepa serve` as a child process that can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home, self.log = home, home / "server.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "app.cli", "serve", "--home", str(self.home), "--port", str(self.port)]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command(), stdout=log, stderr=log, start_new_session=True)
        for _ in range(450):
            try:
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        pytest.fail(self.log.read_text())

    def kill(self) -> None:
        os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def rows(self, query: str) -> list[tuple]:
        with sqlite3.connect(f"file:{self.home / 'catalog.sqlite'}?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def labels(self, annotator: str) -> list[tuple[str, str]]:
        """Return cell and category of all labels of an annotator, in their order."""
        return self.rows(f"SELECT cell_id, category FROM labels WHERE annotator = '{annotator}' ORDER BY id")
