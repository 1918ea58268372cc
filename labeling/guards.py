"""What keeps the database itself from changing the past: triggers, and who may do what. SQL only.

Triggers stop our own mistakes; the owner of a database can drop them. Under PostgreSQL the program
therefore works under an account that owns nothing and has no right to change what is chained.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import DDL, Table, event


def guard(table: Table) -> None:
    """Let a table come into being guarded, on either kind of database."""
    for dialect, statements in guard_statements(table.name).items():
        for statement in statements:
            event.listen(
                table,
                "after_create",
                DDL(statement.replace("%", "%%")).execute_if(dialect=dialect),  # type: ignore[no-untyped-call]
            )


def guard_statements(table: str) -> dict[str, list[str]]:
    """Return, for each kind of database, what makes a table one to which rows are only added."""
    actions = ("update", "delete")
    return {
        "sqlite": [
            f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are only ever added'); END"
            for action in actions
        ],
        "postgresql": [
            "CREATE OR REPLACE FUNCTION cytojepa_only_added() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% are only ever added', TG_TABLE_NAME; END $$",
            *(
                f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table} "
                f"FOR EACH {'STATEMENT' if action == 'truncate' else 'ROW'} EXECUTE FUNCTION cytojepa_only_added()"
                for action in (*actions, "truncate")
            ),
        ],
    }


def grant_statements(role: str, tables: Sequence[str], only_added: Iterable[str]) -> list[str]:
    """Return what lets an account of PostgreSQL work on a study, and nothing more.

    Args:
        role: The account, quoted as the server wants it.
        tables: Names of all tables.
        only_added: Those whose rows it may add and never change.
    """
    fixed = set(only_added)
    statements = [f"GRANT USAGE ON SCHEMA public TO {role}", f"GRANT SELECT ON alembic_version TO {role}"]
    for table in tables:
        rights = "SELECT, INSERT" if table in fixed else "SELECT, INSERT, UPDATE, DELETE"
        statements += [f"REVOKE ALL ON {table} FROM {role}", f"GRANT {rights} ON {table} TO {role}"]
    return [*statements, f"GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {role}"]
