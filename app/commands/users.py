"""`users`: accounts are made here and nowhere else; there is no default password."""

import secrets
import sys
from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, table, verb
from app.commands.tokens import token
from app.services import Services
from app.sign_on import SignOnSettings
from labeling import accounts, identities


@click.group()
def users() -> None:
    """Add and list accounts, change roles and passwords, disable; tokens of other programs."""


@users.command()
@click.argument("name")
@click.option("--role", type=click.Choice(accounts.ROLES), default="annotator")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--generate", is_flag=True, help="Make a password and print it once.")
@home_option
@json_option
@verb
def add(name: str, role: str, password_stdin: bool, generate: bool, home: Path, as_json: bool) -> None:
    """Make an account; asks for the password."""
    given, is_made = _password(password_stdin, generate)
    services = Services.open(home)
    accounts.add_account(services.database, name, role, given)
    _tell(services, f"{name} ({role}) can sign in now.", given if is_made else None, as_json=as_json)


@users.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--generate", is_flag=True, help="Make a password and print it once.")
@home_option
@json_option
@verb
def password(name: str, password_stdin: bool, generate: bool, home: Path, as_json: bool) -> None:
    """Give an account another password and end its sign-ins; asks for the password."""
    services = Services.open(home)
    if name not in {account.name for account in accounts.list_accounts(services.database)}:  # before anybody types
        raise click.ClickException(f"account {name}: there is none of that name. See cytojepa users list.")
    given, is_made = _password(password_stdin, generate)
    accounts.set_password(services.database, name, given)
    _tell(services, f"{name} has another password; all sign-ins have ended.", given if is_made else None,
          as_json=as_json)  # fmt: skip


def _tell(services: Services, sentence: str, made: str | None, *, as_json: bool) -> None:
    lines = [sentence, *([] if made is None else [f"Password, shown only here: {made}"])]
    emit(as_json, {"users": _rows(services), **({} if made is None else {"password": made})}, lines)


def _password(from_stdin: bool, generate: bool) -> tuple[str, bool]:
    if generate:
        return secrets.token_urlsafe(12), True
    if from_stdin or not sys.stdin.isatty():
        # Without a terminal nothing can be hidden: a prompt would only complain about that.
        line = sys.stdin.readline()
        if not line:
            raise click.UsageError(
                "no terminal to ask for the password, and none on standard input: give it there in one line, "
                "or take --generate."
            )
        return line.rstrip("\r\n"), False
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return typed, False


@users.command(name="list")
@home_option
@json_option
@verb
def list_users(home: Path, as_json: bool) -> None:
    """List all accounts."""
    rows = _rows(Services.open(home))
    shown = [(row["name"], row["role"], "disabled" if row["disabled"] else "active") for row in rows]
    emit(
        as_json,
        {"users": rows},
        table(("name", "role", "state"), shown) if rows else ["no accounts"],
    )


@users.command()
@click.argument("name")
@home_option
@json_option
@verb
def disable(name: str, home: Path, as_json: bool) -> None:
    """Lock an account; its labels stay, it is never deleted."""
    services = Services.open(home)
    accounts.disable(services.database, name)
    emit(as_json, {"users": _rows(services)}, [f"{name} can no longer sign in."])


@users.command()
@click.argument("name")
@home_option
@json_option
@verb
def enable(name: str, home: Path, as_json: bool) -> None:
    """Let somebody sign in again."""
    services = Services.open(home)
    accounts.enable(services.database, name)
    emit(as_json, {"users": _rows(services)}, [f"{name} can sign in again."])


@users.command()
@click.argument("name")
@click.argument("subject")
@home_option
@json_option
@verb
def link(name: str, subject: str, home: Path, as_json: bool) -> None:
    """Let SUBJECT of the hospital's sign-on use the account NAME."""
    settings = SignOnSettings.load(home)
    if settings is None:
        raise click.ClickException("this study has no [sign_on] in its settings.")
    services = Services.open(home)
    identities.link(services.database, name, issuer=settings.issuer, subject=subject)
    emit(as_json, {"users": _rows(services)}, [f"{name} can sign in at the hospital."])


@users.command(name="role")
@click.argument("name")
@click.argument("role", type=click.Choice(accounts.ROLES))
@home_option
@json_option
@verb
def change_role(name: str, role: str, home: Path, as_json: bool) -> None:
    """Change what an account may do."""
    services = Services.open(home)
    accounts.set_role(services.database, name, role)
    emit(as_json, {"users": _rows(services)}, [f"{name} is {role} now."])


users.add_command(token)


def _rows(services: Services) -> list[dict[str, object]]:
    return [
        {"name": account.name, "role": account.role, "disabled": account.disabled_at is not None}
        for account in accounts.list_accounts(services.database)
    ]
