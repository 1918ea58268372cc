"""A PostgreSQL server of the tests' own, from Debian's packages, on loopback; gone with the tests."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL

from tests.small_disk import small_disk
from tests.waiting import free_port

_SETTINGS = {
    "fsync": "off",  # the tests kill processes, not the machine
    "full_page_writes": "off",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "120",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}
OWNER, APP = "study_owner", "study_app"
PASSWORD = "only for tests"


def _programs() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = [folder for folder in folders if (folder / "initdb").exists()]
    if found:
        return found[-1]
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class Server:
    """A running server; `database()` makes empty databases in it.

    Args:
        log_megabytes: Its write-ahead log gets a disk of its own of this size, in segments of one megabyte.
    """

    def __init__(self, log_megabytes: int | None = None) -> None:
        programs = _programs()
        if programs is None:
            pytest.skip("no PostgreSQL server here: install Debian's package postgresql (make test does, as root)")
        # The server refuses to run as root.
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user and self._user not in {entry.pw_name for entry in pwd.getpwall()}:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        self._folder = Path(tempfile.mkdtemp(prefix="cytojepa-postgresql-", dir="/tmp"))
        if self._user:
            shutil.chown(self._folder, self._user)
        self._programs, self._data = programs, self._folder / "data"
        self.port, self._settings, self._disks = free_port(), _SETTINGS, ExitStack()
        where: list[str] = []
        if log_megabytes is not None:
            self.log_disk = self._disks.enter_context(self.small_disk(log_megabytes))
            where = [f"--waldir={self.log_disk}/log", "--wal-segsize=1"]
            # No checkpoint gives old segments free.
            self._settings = {**_SETTINGS, "min_wal_size": "2MB", "max_wal_size": "1GB", "checkpoint_timeout": "1d"}
        self._run("initdb", *where, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=root",
                  "--auth-host=scram-sha-256", f"--pwfile={self._password_file()}")  # fmt: skip
        self.start()
        with self.admin() as connection:
            for role in (OWNER, APP):
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), PASSWORD))

    def _password_file(self) -> Path:
        path = self._folder / "password"
        path.write_text(PASSWORD)
        path.chmod(0o644)
        return path

    def keep(self, *files: Path) -> list[Path]:
        """Copy files to where the server may read them, and nobody else may."""
        kept = [Path(shutil.copy(file, self._folder)) for file in files]
        for file in kept:
            file.chmod(0o600)
            if self._user:
                shutil.chown(file, self._user)
        return kept

    def small_disk(self, megabytes: int) -> AbstractContextManager[Path]:
        """Return a disk of the server's own, of this size."""
        owner = pwd.getpwnam(self._user).pw_uid if self._user else None
        return small_disk(self._folder / f"disk-{uuid.uuid4().hex[:8]}", megabytes, owner)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        done = subprocess.run(command, user=self._user, cwd="/", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._user, cwd="/", stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, preexec_fn=_die_with_parent)  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                self.admin().close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                assert self._process.poll() is None, (self._folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT ends the server at once, as a crash does; SIGINT in order."""
        self._process.send_signal(how)
        self._process.wait(timeout=60)

    def wait(self) -> None:
        """Wait until the server has ended by itself."""
        self._process.wait(timeout=60)

    def close(self) -> None:
        self.stop()
        self._disks.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(host="127.0.0.1", port=self.port, user="root", password=PASSWORD, dbname=database,
                               autocommit=True)  # fmt: skip

    def url(self, database: str, user: str = OWNER) -> URL:
        return URL.create("postgresql", user, PASSWORD, "127.0.0.1", self.port, database)

    def setting(self, database: str, user: str = APP) -> str:
        """Return what stands in a study's settings."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def database(self, template: str = "template0", tablespace: str = "pg_default") -> URL:
        """Make an empty database, or a copy of another one; return the owner's address."""
        name = f"study_{uuid.uuid4().hex[:12]}"
        with self.admin() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} TABLESPACE {}").format(
                    *(sql.Identifier(word) for word in (name, OWNER, template, tablespace))
                )
            )
        return self.url(name)

    def drop(self, database: str) -> None:
        with self.admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def cut(self, database: str) -> int:
        """End all connections to a database; return how many there were."""
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        with self.admin() as connection:
            return len(connection.execute(query, [database]).fetchall())
