"""One database per study, SQLite or PostgreSQL: clock, transactions, versions.

What differs between the two is in `sqlite` and `postgresql`; what is said here holds for both:
writers take turns, a reader sees one moment, and an error leaves nothing behind.
"""

import functools
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

import sqlalchemy.exc
from sqlalchemy import URL, Connection, Dialect, String, TypeDecorator, inspect, select
from sqlalchemy.orm import DeclarativeBase, Session

from datasets import postgresql, sqlite
from datasets.errors import ConnectionLost, DatabaseError, DiskFull
from datasets.facts import Fact
from datasets.line import Line
from datasets.postgresql import ALONE, BESIDE, WRITERS, PostgresStore, is_passing
from datasets.sqlite import SqliteStore
from datasets.transactions import OWN

SCHEMA_VERSION = 5
"""Raised with each change of the tables, new ones too: who does not know all of them would lose what they hold."""


class Base(DeclarativeBase):
    """Base of every table; a table's docstring says what one row means and who writes it."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, kept as ISO text: SQLite drops the offset of a plain DateTime."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Refuse a moment without a zone, store the others in UTC.

        Raises:
            ValueError: A moment without a zone.
        """
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


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_CHUNK = 1000
_PAUSES_SECONDS = (0.02, 0.1, 0.3, 1.0, 2.0, 3.0, 4.0)
"""Long enough for the restart of a server."""

Upgrade = Callable[[Connection, int], None]
"""Brings the tables from a version to `SCHEMA_VERSION` inside the open transaction."""


def refuse_upgrade(_connection: Connection, version: int) -> None:
    """Refuse a database of an older version: the upgrade of those who know only its catalogue.

    Raises:
        DatabaseError: Always.
    """
    raise DatabaseError(f"schema version {version} needs an upgrade to {SCHEMA_VERSION}; open the whole study.")


def repeated(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Call again when the connection is lost: for functions of which two runs leave what one leaves.

    A cut may come before or after the commit; nobody can tell which. Rows have keys of their own for this.
    """

    @functools.wraps(function)
    def again(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        for pause in _PAUSES_SECONDS:
            try:
                return function(*args, **kwargs)
            except ConnectionLost:
                time.sleep(pause)
        return function(*args, **kwargs)

    return again


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        if sqlite.takes_no_more(error) or postgresql.takes_no_more(error):
            raise DiskFull(f"{name}: its disk is full or broken. Nothing of this was stored; make room.") from error
        if not is_passing(error):
            raise
        raise ConnectionLost(f"{name}: the connection was lost. Try again; what was saved is kept.") from error


class Database:
    """The study's database: `read()` and `write()` are the only ways in.

    Args:
        place: The SQLite file, made when missing with all tables known to `Base`; or the URL of a
            PostgreSQL database.
        upgrade: What to do with a database of an older version.
        folder: The study's folder; the file's own where there is a file.

    Raises:
        DatabaseError: Not a database of this version, or it cannot be reached.
    """

    def __init__(
        self, place: Path | URL, upgrade: Upgrade = refuse_upgrade, *, folder: Path | None = None
    ) -> None:  # fmt: skip
        assert folder is not None or isinstance(place, Path)
        self.folder = place.parent if folder is None else folder  # type: ignore[union-attr]  # a path, see above
        self._line = Line()
        self._store = SqliteStore(place) if isinstance(place, Path) else PostgresStore(place)
        # Who forgets `close` leaves no connection behind on the server.
        weakref.finalize(self, self._store.engine.dispose)
        self._prepare(upgrade)

    @property
    def name(self) -> str:
        """What the database is called in sentences."""
        return self._store.name

    @property
    def dialect(self) -> str:
        """Return "sqlite" or "postgresql"."""
        return self._store.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a read transaction: one consistent view, no lock."""
        with _told(self.name), Session(self._store.reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, *, is_urgent: bool = False, owner: str | None = None) -> Iterator[Session]:
        """Open the one write transaction; commits at the end, rolls back on an exception.

        Keep it short: no computing, no waiting for a person inside. Returning from the block means
        that the rows are on disk.

        Args:
            is_urgent: A person's answer: it goes before what else waits in this process.
            owner: Whose rows of `write_own` are written too.

        Raises:
            ConnectionLost: To the server, at any moment: the rows may be stored or not. What has a key
                of its own is sent again, see `repeated`.
            DiskFull: There is no room for the rows; none of them is stored.
        """
        with self._line.turn(is_urgent=is_urgent), self._store.turn(), self._writing(WRITERS, owner) as session:
            yield session

    @contextmanager
    def write_own(self, owner: str, *, alone: bool = False) -> Iterator[Session]:
        """Open a transaction that writes rows of one person only; with PostgreSQL beside those of others.

        No event may come of it: the chain has one end. Transactions of one owner take turns. Else as `write`.

        Args:
            owner: Whose rows.
            alone: While nobody else is in such a transaction, `write` aside.
        """
        if isinstance(self._store, SqliteStore):
            with self.write() as session:
                session.info[OWN] = True
                yield session
            return
        self._line.let_urgent_pass()  # they share the processor
        with self._store.beside, self._writing(ALONE if alone else BESIDE, owner) as session:
            session.info[OWN] = True
            yield session

    @contextmanager
    def _writing(self, turn: str, owner: str | None) -> Iterator[Session]:
        calls: list[Callable[[Path], None]] = []
        with (
            _told(self.name),
            self._store.engine.connect().execution_options(write=True, turn=turn, owner=owner) as connection,
            Session(connection, expire_on_commit=False, info={"after_commit": calls, turn: True}) as session,
            session.begin(),
        ):
            yield session
        for call in calls:
            call(self.folder)

    def alone(self, job: str) -> AbstractContextManager[Callable[[], bool] | None]:
        """Hold a job in one process at a time, over all machines that serve the study.

        Yields None where another process has it; else a function that tells whether it is still ours.
        """
        return self._store.alone(job)

    def snapshot(self, out: Path) -> None:
        """Write a copy of one moment's whole database as an SQLite file, while others read and write.

        Args:
            out: A new file.
        """
        if isinstance(self._store, SqliteStore):
            self._store.snapshot(out)
            return
        with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
            copy = Database(Path(scratch) / out.name)
            try:
                copy.fill_from(self)
                copy.snapshot(out)
            finally:
                copy.close()

    def fill_from(self, source: "Database") -> None:
        """Copy all rows of one moment of another database into this one, in one transaction.

        Raises:
            DatabaseError: There are rows in this database already.
        """
        tables = Base.metadata.sorted_tables
        with source.read() as rows, self.write() as session:
            source.take_time(rows)
            self.take_time(session)
            filled = [t.name for t in tables if session.execute(select(t).limit(1)).first() is not None]
            if filled:
                raise DatabaseError(f"{self.name}: holds a study already ({filled[0]}). Name an empty database.")
            for table in tables:
                for part in rows.execute(select(table).execution_options(yield_per=_CHUNK)).mappings().partitions():
                    session.execute(table.insert(), [dict(row) for row in part])
                self._store.numbers_taken(session.connection(), table)

    def take_time(self, session: Session) -> None:
        """Let an open transaction take as long as it needs, where a server would end it."""
        self._store.take_time(session.connection())

    def integrity_problems(self) -> list[str]:
        """Return what is wrong with the stored rows, nothing where all is well."""
        with self.read() as session:
            return self._store.problems(session.connection(), Base.metadata)

    def profile(self) -> list[Fact]:
        """Return how safe this database is set up, one line each, for `doctor`."""
        with self.read() as session:
            return self._store.profile(session.connection())

    def close(self) -> None:
        """Give back all connections."""
        self._store.engine.dispose()

    def _prepare(self, upgrade: Upgrade) -> None:
        """Make or upgrade the tables, in one transaction: killed in the middle, nothing has happened.

        Raises:
            DatabaseError: Tables of another version, or ones that this account may not make.
        """
        try:
            with self.write() as session:
                connection = session.connection()
                version = self._store.version(connection)
                is_empty = not inspect(connection).get_table_names()
                if version > SCHEMA_VERSION or (version < 1 and not is_empty):
                    raise DatabaseError(
                        f"{self.name}: schema version {version}, "
                        f"this program reads {SCHEMA_VERSION}. "
                        "Use the program version that made it, or another --home."
                    )
                if version < SCHEMA_VERSION and not is_empty:
                    upgrade(connection, version)
                Base.metadata.create_all(connection)
                if version != SCHEMA_VERSION:
                    self._store.note_version(connection, SCHEMA_VERSION)
        except sqlalchemy.exc.ProgrammingError as error:
            raise DatabaseError(
                f"{self.name}: this account may not make the study's tables. "
                "Let the owner of the database run: cytojepa database prepare"
            ) from error
        except sqlalchemy.exc.DatabaseError as error:
            raise DatabaseError(f"{self.name}: not a usable database ({error.orig}).") from error
