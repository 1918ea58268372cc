"""`cytojepa serve` for the browser tests."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.waiting import free_port, until, until_served

PASSWORD = "a long test password"
START_SECONDS = 240


class Server:
    """`cytojepa serve` as a child process that can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home, self.log = home, home / "server.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "app.cli", "serve", "--home", str(self.home), "--port", str(self.port)]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command(), stdout=log, stderr=log, start_new_session=True)
        until_served(self.url, self.child, self.log, START_SECONDS)

    def kill(self) -> None:
        os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def rows(self, query: str) -> list[tuple]:
        with sqlite3.connect(f"file:{self.home / 'catalog.sqlite'}?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def wait_for_rows(self, query: str) -> list[tuple]:
        """Return the rows of a query once there are any."""
        return until(lambda: self.rows(query))

    def wait_for_probe(self) -> None:
        """Wait until the server has fitted a probe to the labels."""
        self.wait_for_rows("SELECT id FROM probes LIMIT 1")

    def labels(self, annotator: str) -> list[tuple[str, str]]:
        """Return cell and category of all labels of an annotator, in their order."""
        return self.rows(f"SELECT cell_id, category FROM labels WHERE annotator = '{annotator}' ORDER BY id")
