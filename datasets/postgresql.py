"""PostgreSQL: the study's database where several processes serve it.

Writers take turns as they do with SQLite, here by an advisory lock that ends with its transaction:
the chain of events has one newest event at a time, and what a writer has read is true until it
commits. What only concerns one person (cells handed to him) is written beside them, see `LOCKS`. Readers
see one moment (REPEATABLE READ) and wait for nobody. A process that hangs inside a write transaction
is ended by the server after half a minute, so that it never stops the others.
"""

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy.exc
from sqlalchemy import URL, Connection, Engine, MetaData, Table, create_engine, event, func, inspect, select, text

from datasets.errors import DatabaseError
from datasets.facts import Fact

OLDEST_SERVER = 13
VERSION_TABLE = "alembic_version"
_LOCKS = 0x43594A50
"""First half of the keys of our advisory locks."""
_OWNERS = _LOCKS + 1
"""The same of the locks of persons."""
_WRITERS, _BESIDE = 0, -1  # jobs have positive keys
WRITERS, BESIDE, ALONE = "writers", "beside", "alone"
LOCKS = {
    WRITERS: f"SELECT pg_advisory_xact_lock({_LOCKS}, {_WRITERS})",
    BESIDE: f"SELECT pg_advisory_xact_lock_shared({_LOCKS}, {_BESIDE})",
    ALONE: f"SELECT pg_advisory_xact_lock({_LOCKS}, {_BESIDE})",
}
"""What a transaction waits for. Always in this order, so that none waits in a circle: its owner's lock, the writers',
that of those beside them."""
MOST_BESIDE = 4
"""Transactions of a process beside its writers': more would take processor and connections from answers."""
_MOST_SECONDS_IDLE = 30
_OPTIONS = {
    "timezone": "UTC",
    "synchronous_commit": "on",  # an acknowledged label is on disk, whatever the server's default
    # After a lock has been waited for, each statement sees what was committed meanwhile.
    "default_transaction_isolation": "read\\ committed",
    "statement_timeout": "60s",
    "lock_timeout": "45s",
    "client_min_messages": "warning",
}
_PASSING = ("40001", "40P01", "57P01", "57P02", "57P03", "25P03")
"""SQLSTATEs after which the same transaction may simply be tried again; class 08 too."""
_NO_ROOM = ("53100", "58030")
"""disk_full and io_error."""
_REMEDIES = {
    "no password supplied": "Name its file in CYTOJEPA_DATABASE_PASSWORD_FILE, or write it into .pgpass in the home "
    "folder of the account that runs the program; that file is read only with mode 0600.",
    "root certificate file": "Copy the certificate of the authority that signed the server's there, or name it with "
    "sslrootcert=FILE in the address.",
    "certificate verify failed": "Another authority signed the server's certificate: name its own by sslrootcert=FILE.",
    "does not match host name": "Write the name into the address that the server's certificate bears.",
}
"""What libpq says -> the way out."""


class PostgresStore:
    """One database of a PostgreSQL server.

    Args:
        url: With the password, where one is needed.

    Raises:
        DatabaseError: The server cannot be reached, is too old, or orders text by a language.
    """

    def __init__(self, url: URL) -> None:
        self.name = f"PostgreSQL database {url.database} at {url.host or 'the local socket'}"
        self.beside = threading.BoundedSemaphore(MOST_BESIDE)
        self.engine = _make_engine(url)
        self.reader = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        try:
            with ExitStack() as cleaning:
                cleaning.callback(self.engine.dispose)
                with self.reader.connect() as connection:
                    self._check_server(connection)
                cleaning.pop_all()  # only a refused server leaves nothing open
        except sqlalchemy.exc.OperationalError as error:
            raise DatabaseError(f"{self.name}: cannot be reached ({_first_line(error)}).{_remedy(error)}") from error

    def _check_server(self, connection: Connection) -> None:
        query = "SELECT current_setting('server_version_num')::int / 10000, datcollate, pg_encoding_to_char(encoding)"
        server, order, encoding = connection.execute(
            text(f"{query} FROM pg_database WHERE datname = current_database()")
        ).one()
        if server < OLDEST_SERVER:
            raise DatabaseError(f"{self.name}: server version {server}; use {OLDEST_SERVER} or newer.")
        if order.split(".")[0] not in ("C", "POSIX") or encoding != "UTF8":
            raise DatabaseError(
                f"{self.name}: orders text by {order}, encoding {encoding}; ids and times need plain order. "
                "Make it with: createdb --template=template0 --encoding=UTF8 --locale=C.UTF-8"
            )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nothing to wait for here: the lock is the transaction's first statement."""
        yield

    @contextmanager
    def alone(self, job: str) -> Iterator[Callable[[], bool] | None]:
        """Hold a job of that name, in one process at a time; yields what tells whether it is still ours.

        Held by a connection of its own: the server gives it free when this process dies, and a cut
        connection has lost it.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = {"space": _LOCKS, "job": zlib.crc32(job.encode()) >> 1 or 1}

            def is_ours() -> bool:
                try:
                    return connection.execute(text("SELECT true")).scalar_one() is True
                except sqlalchemy.exc.DBAPIError:
                    return False

            if not connection.execute(text("SELECT pg_try_advisory_lock(:space, :job)"), key).scalar_one():
                yield None
                return
            try:
                yield is_ours
            finally:
                # The connection must not go back to the pool with the lock.
                connection.invalidate()

    def version(self, connection: Connection) -> int:
        """Return the schema's version, 0 where none was noted."""
        if not inspect(connection).has_table(VERSION_TABLE):
            return 0
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
        return int(found) if found else 0

    def note_version(self, connection: Connection, version: int) -> None:
        """Note the schema's version, where Alembic looks for it."""
        if not inspect(connection).has_table(VERSION_TABLE):
            connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) PRIMARY KEY)"))
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))  # noqa: S608
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:v)"), {"v": f"{version:04d}"})  # noqa: S608

    def take_time(self, connection: Connection) -> None:
        """Let the transaction take as long as it needs."""
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))

    def numbers_taken(self, connection: Connection, table: Table) -> None:
        """Go on counting after rows that came with their numbers."""
        column = table.autoincrement_column
        if column is None:
            return
        query = select(func.setval(func.pg_get_serial_sequence(table.name, column.name), func.max(column)))
        connection.execute(query.having(func.max(column).is_not(None)))

    def problems(self, connection: Connection, metadata: MetaData) -> list[str]:
        """Return rows that point to nothing: the server refuses them, so something was switched off."""
        self.take_time(connection)
        found = []
        for table in metadata.sorted_tables:
            for key in table.foreign_keys:
                parent = key.column.table.alias()
                strays = select(func.count()).select_from(table).where(
                    key.parent.is_not(None),
                    ~select(parent.c[key.column.name]).where(parent.c[key.column.name] == key.parent).exists(),
                )  # fmt: skip
                count = connection.scalar(strays)
                if count:
                    found.append(f"database: {count} rows of {table.name} point to rows of {key.column.table.name}"
                                 " that are gone")  # fmt: skip
        return found

    def profile(self, connection: Connection) -> list[Fact]:
        """Return server, durability and rights, with a remedy where they are not as they should be."""
        settings = {
            name: str(connection.scalar(text("SELECT current_setting(:name)"), {"name": name}))
            for name in ("server_version", "fsync", "full_page_writes", "synchronous_commit", "data_checksums")
        }
        durable = all(settings[name] == "on" for name in ("fsync", "full_page_writes", "synchronous_commit"))
        told = ", ".join(f"{name} {settings[name]}" for name in ("fsync", "full_page_writes", "synchronous_commit"))
        role, rights = self._rights(connection)
        is_private = connection.scalar(
            text("SELECT inet_server_addr() IS NULL OR inet_client_addr() <<= '127.0.0.0/8' "
                 "OR inet_client_addr() <<= '::1/128' OR COALESCE((SELECT ssl FROM pg_stat_ssl "
                 "WHERE pid = pg_backend_pid()), false)")
        )  # fmt: skip
        return [
            Fact(name=f"{self.name}, server {settings['server_version']}", ok=True, remedy=""),
            Fact(name=f"server: {told}", ok=durable,
                 remedy="A power cut can take labels: set all of them to on in postgresql.conf."),
            Fact(name=f"data checksums {settings['data_checksums']}", ok=settings["data_checksums"] == "on",
                 remedy="A failing disk would not be noticed: stop the server, run pg_checksums --enable."),
            Fact(name=f"account {role} may {', '.join(rights) or 'only add'} events", ok=not rights,
                 remedy="Let an owner role make the tables: `cytojepa database prepare`, then use another account."),
            Fact(name="connection to the server " + ("local or encrypted" if is_private else "not encrypted"),
                 ok=bool(is_private), remedy="Add ?sslmode=verify-full to the URL."),
        ]  # fmt: skip

    def _rights(self, connection: Connection) -> tuple[str, list[str]]:
        role = str(connection.scalar(text("SELECT current_user")))
        asked = text("SELECT has_table_privilege('events', :right)")
        rights = [r for r in ("UPDATE", "DELETE", "TRUNCATE") if connection.scalar(asked, {"right": r})]
        owns = "SELECT pg_has_role(tableowner, 'USAGE') FROM pg_tables WHERE tablename = 'events'"
        return role, [*rights, *(["own"] if connection.scalar(text(owns)) else [])]


def is_passing(error: BaseException) -> bool:
    """Return whether a connection was cut, or the server asks to try again: not what was sent is at fault."""
    if not isinstance(error, sqlalchemy.exc.DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", "")
    is_cut = state is None and isinstance(error, sqlalchemy.exc.OperationalError)
    # With `_NO_ROOM` it has ended itself: the commit may have come through.
    return is_cut or (bool(state) and (state in (*_PASSING, *_NO_ROOM) or state.startswith("08")))


def takes_no_more(error: BaseException) -> bool:
    """Return whether the server found no room for a row and goes on; where its log finds none, it ends itself."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) in _NO_ROOM and cause.diag.severity_nonlocalized == "ERROR"  # type: ignore[union-attr]  # it has a state


def _make_engine(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=16,
        max_overflow=8,
        pool_timeout=30,
        pool_pre_ping=True,  # a connection that the server has closed meanwhile costs nobody an error
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={
            "connect_timeout": 10,
            "application_name": "cytojepa",
            "options": " ".join(f"-c {name}={value}" for name, value in _OPTIONS.items()),
            "keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 3,
        },
    )  # fmt: skip

    @event.listens_for(engine, "handle_error")
    def leave_rows_out(context: Any) -> None:
        # "Failing row contains ..." would end in the server's log.
        for error in (context.original_exception, context.sqlalchemy_exception):
            if error is not None and error.args:
                error.args = (str(error.args[0]).partition("\nDETAIL:")[0], *error.args[1:])

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        options = connection.get_execution_options()
        if options.get("write", False):
            statements = [f"SET LOCAL idle_in_transaction_session_timeout = '{_MOST_SECONDS_IDLE}s'"]
            if options.get("owner") is not None:
                # Two names of one number wait for each other, no more.
                number = zlib.crc32(options["owner"].encode()) >> 1
                statements.append(f"SELECT pg_advisory_xact_lock({_OWNERS}, {number})")
            statements.append(LOCKS[options["turn"]])
            # One message to the server: a list of columns would promise no order.
            connection.exec_driver_sql("; ".join(statements), execution_options={"no_parameters": True})

    return engine


def _first_line(error: sqlalchemy.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]


def _remedy(error: sqlalchemy.exc.DBAPIError) -> str:
    return next((f" {way_out}" for fact, way_out in _REMEDIES.items() if fact in str(error.orig)), "")
