"""Studies made by older versions are brought up to date when they are opened.

Alembic's scripts in `versions/`, one for each schema that was ever out. All of an upgrade happens
in the one transaction that opens the database: killed in the middle, the study is as it was.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect

FIRST = "0001"
"""The schema of version 0.1.0, which knew no revisions."""


def upgrade(connection: Connection, version: int) -> None:
    """Bring the tables to the newest schema inside the open transaction.

    Args:
        connection: With an open write transaction.
        version: Of the database as it is; 1 is the schema before revisions were noted.
    """
    config = _config(connection)
    if not inspect(connection).has_table("alembic_version"):
        command.stamp(config, f"{version:04d}")
    command.upgrade(config, "head")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
