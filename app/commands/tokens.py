"""`users token`: other programs act as an account, each with a token of its own."""

from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, table, verb
from app.services import Services
from labeling import tokens


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of other programs."""


@token.command()
@click.argument("account")
@click.argument("purpose")
@click.option("--days", type=int, default=tokens.DEFAULT_DAYS, show_default=True, help="After how many days it ends.")
@home_option
@json_option
@verb
def add(account: str, purpose: str, days: int, home: Path, as_json: bool) -> None:
    """Make a token for ACCOUNT; PURPOSE says which program it is for. It is shown once."""
    services = Services.open_existing(home)
    made = tokens.create(services.database, account, purpose, days=days)
    lines = [f"Token {made.id} lets {purpose} act as {account} for {days} days.", f"Shown only here: {made.secret}"]
    emit(as_json, {"token": made.secret, "id": made.id, "tokens": _rows(services, account)}, lines)


@token.command(name="list")
@click.argument("account", required=False)
@home_option
@json_option
@verb
def list_of(account: str | None, home: Path, as_json: bool) -> None:
    """List the tokens of ACCOUNT, or of all."""
    rows = _rows(Services.open_existing(home), account)
    header = ("id", "account", "purpose", "state", "expires_at", "seen_at")
    shown = [tuple(row[name] for name in header) for row in rows]
    emit(as_json, {"tokens": rows}, table(header, shown) if rows else ["no tokens"])


@token.command()
@click.argument("token_id", metavar="ID", type=int)
@home_option
@json_option
@verb
def revoke(token_id: int, home: Path, as_json: bool) -> None:
    """End a token; felt at the program's next request."""
    services = Services.open_existing(home)
    tokens.revoke(services.database, token_id)
    emit(as_json, {"tokens": _rows(services)}, [f"Token {token_id} opens nothing any more."])


def _rows(services: Services, account: str | None = None) -> list[dict[str, object]]:
    return [
        {
            "id": row.id, "account": row.account, "purpose": row.purpose, "state": tokens.state_of(row),
            "created_by": row.created_by, "expires_at": row.expires_at.isoformat(timespec="seconds"),
            "seen_at": row.seen_at and row.seen_at.isoformat(timespec="seconds"),
        }
        for row in tokens.list_tokens(services.database, account)
    ]  # fmt: skip
