"""What may be asked of an open write transaction, of either kind of database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session

from datasets.postgresql import ALONE, BESIDE, LOCKS

OWN = "own"


def after_commit(session: Session, call: Callable[[Path], None]) -> None:
    """Call a function once the open write transaction is on disk, with the study's folder."""
    session.info["after_commit"].append(call)


def insert_into(session: Session, table: type[DeclarativeBase]) -> Any:
    """Return an INSERT of this session's kind of database: each has its own `on_conflict_do_...`."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def is_beside(session: Session) -> bool:
    """Return whether others may hand out the same rows meanwhile: what only one may have needs a lock."""
    return bool(session.info.get(BESIDE))


def is_own(session: Session) -> bool:
    """Return whether this is a transaction of `Database.write_own`, out of which no event may come."""
    return bool(session.info.get(OWN))


def keep_others_out(session: Session) -> None:
    """Wait until no transaction of `Database.write_own` is open, and let none begin before this one ends."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(LOCKS[ALONE]))
