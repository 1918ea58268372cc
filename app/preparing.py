"""Making the tables of a study in PostgreSQL, and giving an account its rights on them.

Run by the owner of the database. The account under which the program works owns nothing: it cannot
change or remove what is in the chain of events, whatever happens to the program.
"""

from pathlib import Path

from sqlalchemy import URL, text
from sqlalchemy.dialects import postgresql

import labeling.records  # noqa: F401  (its tables)
from datasets import catalog  # noqa: F401  (its tables)
from datasets.db import Base, Database
from labeling import migrations
from labeling.guards import grant_statements
from labeling.records import CHAINED_TABLES


def statements(app_role: str) -> list[str]:
    """Return what the owner has to say, besides making the tables, to let an account work on a study."""
    role = postgresql.dialect().identifier_preparer.quote_identifier(app_role)  # type: ignore[no-untyped-call]
    return grant_statements(role, [table.name for table in Base.metadata.sorted_tables], (*CHAINED_TABLES, "events"))


def prepare(url: URL, *, app_role: str) -> str:
    """Make or upgrade the tables and give the account its rights; may be repeated.

    Args:
        url: Of the database, as its owner.
        app_role: The account under which the program will work; it exists already.

    Returns:
        The database, in words.
    """
    database = Database(url, migrations.upgrade, folder=Path())
    try:
        with database.write() as session:
            for statement in statements(app_role):
                session.execute(text(statement))
    finally:
        database.close()
    return database.name
