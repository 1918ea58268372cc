"""One database per study, SQLite as measured to be safe: engine, clock, transactions.

WAL with synchronous=FULL (NORMAL lost acknowledged labels in simulated power cuts), BEGIN
IMMEDIATE for writers, one writer at a time by a lock in the process and a lock file between
processes (SQLite's own busy handler starves writers), and a SQLite library without the WAL-reset
bug where one is there.
"""

import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy.exc
from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    String,
    TypeDecorator,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Session

from datasets.errors import DatabaseError

SCHEMA_VERSION = 3
SAFE_SQLITE = (3, 51, 3)
"""First release without the WAL-reset corruption bug."""

try:
    from pysqlite3 import dbapi2 as driver
except ImportError:  # no wheel for this platform: `cytojepa doctor` tells the version in use
    driver = sqlite3


def sqlite_version() -> str:
    """Return the version of the SQLite library in use."""
    return str(driver.sqlite_version)


class Base(DeclarativeBase):
    """Base of every table; a table's docstring says what one row means and who writes it."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, kept as ISO text: SQLite drops the offset of a plain DateTime."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Refuse a moment without a zone, store the others in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time {value.isoformat()}: no time zone; pass an aware datetime.")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        return None if value is None else datetime.fromisoformat(value)


def utc_now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)


Upgrade = Callable[[Connection, int], None]
"""Brings the tables from a version to `SCHEMA_VERSION` inside the open transaction."""


def refuse_upgrade(_connection: Connection, version: int) -> None:
    """Refuse a database of an older version: the upgrade of those who know only its catalogue."""
    raise DatabaseError(f"schema version {version} needs an upgrade to {SCHEMA_VERSION}; open the whole study.")


def after_commit(session: Session, call: Callable[[Path], None]) -> None:
    """Call a function once the open write transaction is on disk, with the study's folder."""
    session.info["after_commit"].append(call)


class Database:
    """The study's database: `read()` and `write()` are the only ways in.

    Args:
        path: The SQLite file; made when missing, with all tables known to `Base`.
        upgrade: What to do with a database of an older version.

    Raises:
        DatabaseError: The file is not a database of this version.
    """

    def __init__(self, path: Path, upgrade: Upgrade = refuse_upgrade) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._thread_lock = threading.Lock()
        self._engine = _make_engine(path)
        self._prepare(upgrade)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a read transaction: one consistent view, no lock."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open the one write transaction; commits at the end, rolls back on an exception.

        Keep it short: no computing, no waiting for a person inside. Returning from the block means
        that the rows are on disk.
        """
        calls: list[Callable[[Path], None]] = []
        with self._thread_lock, self._file_lock():
            connection = self._engine.connect().execution_options(write=True)
            with (
                connection,
                Session(connection, expire_on_commit=False, info={"after_commit": calls}) as session,
                session.begin(),
            ):
                yield session
            for call in calls:
                call(self.path.parent)

    def snapshot(self, out: Path) -> None:
        """Write a copy of one moment's whole database, while others go on reading and writing.

        Copying the file itself gave unusable copies in 8 of 12 tries; this is SQLite's own backup.

        Args:
            out: A new file.
        """
        source = self._engine.raw_connection()
        try:
            with closing(driver.connect(out)) as target:
                source.driver_connection.backup(target)  # type: ignore[union-attr]  # it is open
                # One plain file: the copy must not need a log beside it.
                target.execute("PRAGMA journal_mode=DELETE")
        finally:
            source.close()

    def integrity_problems(self) -> list[str]:
        """Return what SQLite finds wrong with the file, nothing where all is well."""
        with self.read() as session:
            rows = list(session.scalars(text("PRAGMA integrity_check")))
            found = [] if rows == ["ok"] else [f"database: {row}" for row in rows]
            strays = session.execute(text("PRAGMA foreign_key_check")).all()
        return found + [
            f"database: row {row[1]} of {row[0]} points to a row of {row[2]} that is gone" for row in strays
        ]

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        with self.path.with_suffix(".wlock").open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _prepare(self, upgrade: Upgrade) -> None:
        """Make or upgrade the tables, in one transaction: killed in the middle, nothing has happened."""
        try:
            with self.write() as session:
                connection = session.connection()
                version = session.execute(text("PRAGMA user_version")).scalar_one()
                is_empty = not inspect(connection).get_table_names()
                if version > SCHEMA_VERSION or (version < 1 and not is_empty):
                    raise DatabaseError(
                        f"{self.path.name}: schema version {version}, "
                        f"this program reads {SCHEMA_VERSION}. "
                        "Use the program version that made it, or another --home."
                    )
                if version < SCHEMA_VERSION and not is_empty:
                    upgrade(connection, version)
                Base.metadata.create_all(connection)
                session.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))
        except sqlalchemy.exc.DatabaseError as error:
            raise DatabaseError(f"{self.path.name}: not a usable database ({error.orig}).") from error


def _make_engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        module=driver,
        pool_size=16,
        max_overflow=16,
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
