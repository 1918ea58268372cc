"""SQLite as measured to be safe: the study's database where one machine serves it.

WAL with synchronous=FULL (NORMAL lost acknowledged labels in simulated power cuts), BEGIN
IMMEDIATE for writers, one writer at a time by a lock file between processes (SQLite's own busy
handler starves writers), and a SQLite library without the WAL-reset bug where one is there.
"""

import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, event, text

from datasets.facts import Fact
from datasets.files import turn_at

_NO_ROOM = (10, 13)
"""SQLITE_IOERR and SQLITE_FULL, https://sqlite.org/rescode.html."""
SAFE_SQLITE = (3, 51, 3)
"""First release without the WAL-reset corruption bug."""

try:
    from pysqlite3 import dbapi2 as driver
except ImportError:  # no wheel for this platform: `cytojepa doctor` tells the version in use
    driver = sqlite3


def sqlite_version() -> str:
    """Return the version of the SQLite library in use."""
    return str(driver.sqlite_version)


class SqliteStore:
    """One file, and a lock file beside it.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.engine = _make_engine(path)
        self.reader = self.engine

    def turn(self) -> AbstractContextManager[None]:
        """Wait until no other process writes."""
        return turn_at(self._path)

    @contextmanager
    def alone(self, job: str) -> Iterator[Callable[[], bool] | None]:
        """Hold a job of that name, in one process at a time; yields what tells whether it is still ours."""
        with self._path.with_suffix(f".{job}-lock").open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield lambda: True

    def version(self, connection: Connection) -> int:
        """Return the schema's version, 0 where none was noted."""
        return int(connection.execute(text("PRAGMA user_version")).scalar_one())

    def note_version(self, connection: Connection, version: int) -> None:
        """Note the schema's version."""
        connection.execute(text(f"PRAGMA user_version = {version}"))

    def snapshot(self, out: Path) -> None:
        """Write a copy of one moment as a plain file.

        Copying the file itself gave unusable copies in 8 of 12 tries; this is SQLite's own backup.
        """
        source = self.engine.raw_connection()
        try:
            with closing(driver.connect(out)) as target:
                source.driver_connection.backup(target)  # type: ignore[union-attr]  # it is open
                # One plain file: the copy must not need a log beside it.
                target.execute("PRAGMA journal_mode=DELETE")
        finally:
            source.close()

    def take_time(self, connection: Connection) -> None:
        """Let the transaction take as long as it needs: it does here anyhow."""

    def numbers_taken(self, connection: Connection, table: Table) -> None:
        """Go on counting after rows that came with their numbers: SQLite does so by itself."""

    def profile(self, connection: Connection) -> list[Fact]:
        """Return library and settings, with a remedy where they are not the measured ones."""
        found, wanted = sqlite_version(), ".".join(map(str, SAFE_SQLITE))
        is_safe = tuple(map(int, found.split("."))) >= SAFE_SQLITE
        old = f"Older than {wanted}, which mended a corruption bug. Install pysqlite3."
        mode, sync = (connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous"))
        return [
            Fact(name=f"SQLite {found}", ok=is_safe, remedy="" if is_safe else old),
            Fact(name=f"built-in database {self.name}: journal {mode}, synchronous {sync}",
                 ok=(mode, sync) == ("wal", 2), remedy="Use a local disk, not a network folder."),
        ]  # fmt: skip

    def problems(self, connection: Connection, metadata: MetaData) -> list[str]:
        """Return what SQLite finds wrong with the file, nothing where all is well."""
        rows = list(connection.scalars(text("PRAGMA integrity_check")))
        found = [] if rows == ["ok"] else [f"database: {row}" for row in rows]
        strays = connection.execute(text("PRAGMA foreign_key_check")).all()
        return found + [
            f"database: row {row[1]} of {row[0]} points to a row of {row[2]} that is gone" for row in strays
        ]


def takes_no_more(error: BaseException) -> bool:
    """Return whether the disk is full, or a limit or a fault of it stopped the write."""
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF in _NO_ROOM


def _make_engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        module=driver,
        pool_size=16,
        max_overflow=16,
        hide_parameters=True,  # an error in a log must not tell hashes and comments
        connect_args={"timeout": 30},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions on its own: the "begin" event below does.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        is_write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    return engine
