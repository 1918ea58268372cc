"""People and their signed-in browsers. The only writer of `accounts` and `sign_ins`.

One person, one account; disabled, never deleted; made on the command line or by an admin, never by
registration. Passwords are argon2id hashes; of a browser's token only the SHA-256 is stored.
"""

import hashlib
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from datasets.db import Database, repeated, utc_now
from datasets.errors import DiskFull
from datasets.transactions import insert_into
from labeling import audit
from labeling.errors import AccountError
from labeling.records import IMPORTED, Account, SignIn, SignInFailure

Right = Literal["label", "adjudicate", "pictures", "quality", "progress", "bias", "export", "runs", "audit", "people"]
"""label: decide cells; adjudicate: see what others answered, and decide where they differ; pictures: see cells;
quality: see what stands out among pictures, cells and labels; progress: see how far the study is; bias: see whether
suggestions lead doctors; export: take out everybody's labels; runs: see and stop pretraining; audit: look at the chain
of events; people: make, change and disable accounts and tokens, and change the study's settings."""

RIGHTS: dict[str, frozenset[Right]] = {
    "annotator": frozenset({"label", "pictures", "progress"}),
    "adjudicator": frozenset({"label", "adjudicate", "pictures", "quality", "progress", "bias", "export"}),
    "data-manager": frozenset({"pictures", "quality", "progress", "export", "runs"}),
    "admin": frozenset(get_args(Right)),
    "auditor": frozenset({"progress", "bias", "audit"}),
}
"""What each role may do; all else is denied. What an admin does is told in the chain of events too."""
ROLES = tuple(RIGHTS)
COMMAND_LINE = "command line"
"""Who acted, in the chain of events, where it was somebody at the server's own terminal."""
NO_PASSWORD = "none"  # noqa: S105  (no password fits it)
"""In place of a hash: somebody who signs in with the hospital's account only."""
SHORTEST_PASSWORD = 8
IDLE_SECONDS = 15 * 60
ABSOLUTE_SECONDS = 12 * 3600
_FREE_FAILURES = 5
_LONGEST_PAUSE_SECONDS = 300.0
_FORGOTTEN_AFTER = timedelta(hours=1)

_HASHER = PasswordHash((Argon2Hasher(),))
# One hash takes 64 MB and a core for a while: many at once would stop the server.
_HASHING = threading.BoundedSemaphore(2)
_UNKNOWN_HASH = _HASHER.hash(secrets.token_hex())


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedIn:
    """Who a browser belongs to, or as whom a program acts."""

    name: str
    role: str
    csrf_token: str
    via: str | None = None
    """By which token a program asks; None: it is a browser, whose changes need the `csrf_token`."""

    def may(self, right: Right) -> bool:
        """Return whether this person's role has a right; an unknown role has none."""
        return right in RIGHTS.get(self.role, frozenset())


class FailureBrake:
    """Slows down guessing: after five failures of a name each try has to wait twice as long.

    The counts are in the database: all server processes of a study slow down together.

    Args:
        database: The study's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def wait_seconds(self, name: str) -> float:
        """Return how long this name has to wait before the next try."""
        with self._database.read() as session:
            failed = session.get(SignInFailure, _digest(name))
        if failed is None or failed.count < _FREE_FAILURES:
            return 0.0
        pause = min(2.0 ** (failed.count - _FREE_FAILURES + 1), _LONGEST_PAUSE_SECONDS)
        # A clock that was set back must not lock anybody out for longer.
        return max(0.0, min(pause, pause - (utc_now() - failed.last_at).total_seconds()))

    def note(self, name: str, *, succeeded: bool) -> None:
        """Count a failure, or forget them after a success."""
        now, digest = utc_now(), _digest(name)
        if succeeded and not self._has_failed(digest):
            return
        with self._database.write() as session:
            long_ago = SignInFailure.last_at < now - _FORGOTTEN_AFTER
            session.execute(delete(SignInFailure).where((SignInFailure.name_sha256 == digest) | long_ago if succeeded
                                                        else long_ago))  # fmt: skip
            if not succeeded:
                statement = insert_into(session, SignInFailure).values(name_sha256=digest, count=1, last_at=now)
                session.execute(statement.on_conflict_do_update(
                    index_elements=["name_sha256"], set_={"count": SignInFailure.count + 1, "last_at": now}
                ))  # fmt: skip

    def _has_failed(self, digest: str) -> bool:
        with self._database.read() as session:
            return session.get(SignInFailure, digest) is not None


def add_account(database: Database, name: str, role: str, password: str, *, by: str = COMMAND_LINE) -> None:
    """Make an account.

    Args:
        database: The study.
        name: What the person signs in as.
        role: One of `ROLES`.
        password: In plain; only its argon2id hash is stored.
        by: Who makes it: told in the chain of events, as for all changes of accounts.

    Raises:
        AccountError: The name is taken or not usable, the role unknown, the password too short.
    """
    if role not in ROLES:
        raise AccountError(f"role {role}: there are {', '.join(ROLES)}.")
    check_name(name)
    password_hash = _hash(password)
    with database.write() as session:
        if session.get(Account, name) is not None:
            raise AccountError(f"account {name}: exists already. Choose another name.")
        session.add(Account(name=name, role=role, password_hash=password_hash, created_at=utc_now(),
                            disabled_at=None))  # fmt: skip
        audit.append(session, kind="account added", by=by, facts={"name": name, "role": role})


def set_password(database: Database, name: str, password: str, *, own: str | None = None) -> None:
    """Give an account another password, or its first one, and end its sign-ins.

    With `own`, the token of a browser that stays signed in, the person does so; else somebody at the command line.

    Raises:
        AccountError: There is no such account, or the password is too short.
    """
    password_hash = _hash(password)
    with database.write() as session:
        _account(session, name).password_hash = password_hash
        _end_all(session, name, keep=own or "")
        audit.append(session, kind="password changed", by=COMMAND_LINE if own is None else name, facts={"name": name})


def _account(session: Session, name: str) -> Account:
    account = session.get(Account, name)
    if account is None:
        raise AccountError(f"account {name}: there is none of that name.")
    return account


def _hash(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise AccountError(f"the password has {len(password)} characters; use at least {SHORTEST_PASSWORD}.")
    with _HASHING:
        return _HASHER.hash(password)


def _end_all(session: Session, name: str, *, keep: str = "") -> None:
    theirs = (SignIn.account == name, SignIn.ended_at.is_(None), SignIn.token_sha256 != _digest(keep))
    session.execute(update(SignIn).where(*theirs).values(ended_at=utc_now()))


def is_usable_name(name: str) -> bool:
    """Return whether somebody can be called so: 1 to 64 visible characters, and not "imported"."""
    return 0 < len(name) <= 64 and name.isprintable() and name == name.strip() and name != IMPORTED


def check_name(name: str) -> None:
    """Refuse what cannot be an account's name.

    Raises:
        AccountError: It is empty, too long, invisible, or stands for something else.
    """
    if not is_usable_name(name):
        raise AccountError(f"name {name!r}: use 1 to 64 visible characters, and not {IMPORTED!r}.")


def list_accounts(database: Database) -> list[Account]:
    """Return all accounts by name."""
    with database.read() as session:
        return list(session.scalars(select(Account).order_by(Account.name)))


def doctors(database: Database) -> list[str]:
    """Return the accounts that may label, by name."""
    found = [row for row in list_accounts(database) if row.disabled_at is None and "label" in RIGHTS.get(row.role, ())]
    return sorted(row.name for row in found)


def disable(database: Database, name: str, *, by: str = COMMAND_LINE) -> None:
    """Lock an account and end its sign-ins; its labels stay.

    Raises:
        AccountError: There is no such account.
    """
    with database.write() as session:
        _account(session, name).disabled_at = utc_now()
        _end_all(session, name)
        audit.append(session, kind="account disabled", by=by, facts={"name": name})


def enable(database: Database, name: str, *, by: str = COMMAND_LINE) -> None:
    """Let somebody sign in again.

    Raises:
        AccountError: There is no such account.
    """
    with database.write() as session:
        _account(session, name).disabled_at = None
        audit.append(session, kind="account enabled", by=by, facts={"name": name})


def set_role(database: Database, name: str, role: str, *, by: str = COMMAND_LINE) -> None:
    """Change what an account may do; felt at the next action.

    Raises:
        AccountError: There is no such account or role, or it is the actor's own.
    """
    if by == name:
        raise AccountError(f"account {name}: nobody changes the own role; ask another admin.")
    if role not in ROLES:
        raise AccountError(f"role {role}: there are {', '.join(ROLES)}.")
    with database.write() as session:
        account = _account(session, name)
        facts = {"name": name, "role": role, "before": account.role}
        account.role = role
        audit.append(session, kind="role changed", by=by, facts=facts)


@repeated
def verify(database: Database, name: str, password: str) -> bool:
    """Return whether the password opens the account; takes as long for unknown names."""
    with database.read() as session:
        account = session.get(Account, name) if is_usable_name(name) else None
    stored = account.password_hash if account and account.password_hash != NO_PASSWORD else _UNKNOWN_HASH
    with _HASHING:
        matches = _HASHER.verify(password, stored)
    return matches and account is not None and account.disabled_at is None


@repeated
def open_sign_in(database: Database, name: str) -> str:
    """Remember a browser and return its token, which is stored nowhere."""
    token, csrf_token, now = secrets.token_urlsafe(32), secrets.token_urlsafe(24), utc_now()
    with database.write() as session:
        session.add(SignIn(token_sha256=_digest(token), account=name, csrf_token=csrf_token,
                           created_at=now, seen_at=now, ended_at=None))  # fmt: skip
    return token


@repeated
def check_sign_in(database: Database, token: str, *, is_action: bool = True) -> SignedIn | None:
    """Return whose token this is; None when it ended, aged, or the account was disabled.

    Args:
        database: The study's database.
        token: The browser's.
        is_action: Somebody does something: the idle time begins anew. False for what renews itself.
    """
    now = utc_now()
    with database.read() as session:
        found = session.execute(
            select(SignIn, Account).join(Account).where(SignIn.token_sha256 == _digest(token))
        ).one_or_none()
    if found is None:
        return None
    sign_in, account = found
    is_idle = now - sign_in.seen_at > timedelta(seconds=IDLE_SECONDS)
    is_old = now - sign_in.created_at > timedelta(seconds=ABSOLUTE_SECONDS)
    if sign_in.ended_at is not None or account.disabled_at is not None or is_idle or is_old:
        return None
    if is_action and now - sign_in.seen_at > timedelta(minutes=1):
        with suppress(DiskFull), database.write() as session:  # it locks nobody out before the idle time is over
            statement = update(SignIn).where(SignIn.token_sha256 == _digest(token))
            session.execute(statement.values(seen_at=now))
    return SignedIn(name=account.name, role=account.role, csrf_token=sign_in.csrf_token)


@repeated
def end_sign_in(database: Database, token: str) -> None:
    """Forget a browser."""
    with database.write() as session:
        statement = update(SignIn).where(SignIn.token_sha256 == _digest(token))
        session.execute(statement.values(ended_at=utc_now()))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
