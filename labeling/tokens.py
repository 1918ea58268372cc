"""Tokens with which other programs act as an account. The only writer of `api_tokens`.

Only the SHA-256 of a token is stored: it is shown once, when it is made. A token may what its account
may, at that moment; it ends by itself, by being revoked, and with its account.
"""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update

from datasets.db import Database, utc_now
from datasets.errors import DiskFull
from labeling import audit
from labeling.accounts import COMMAND_LINE, SignedIn
from labeling.errors import AccountError
from labeling.records import Account, ApiToken

PREFIX = "cytojepa_"
"""What every token begins with, so that a search for lost secrets finds it."""
DEFAULT_DAYS, MOST_DAYS = 90, 366
_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewToken:
    """A token in the one moment in which it is known."""

    id: int
    secret: str


def create(
    database: Database, account: str, purpose: str, *, days: int = DEFAULT_DAYS, by: str = COMMAND_LINE
) -> NewToken:
    """Make a token for an account; told in the chain of events, as is its end.

    Args:
        database: The study's database.
        account: Whose name and role the program will have.
        purpose: Which program, in 1 to 64 visible characters.
        days: After how many days it ends.
        by: Who makes it.

    Raises:
        AccountError: There is no such account, it is disabled, or purpose or days make no sense.
    """
    if not (0 < len(purpose) <= 64 and purpose.isprintable() and purpose == purpose.strip()):
        raise AccountError(f"purpose {purpose!r}: say in 1 to 64 visible characters which program it is for.")
    if not 1 <= days <= MOST_DAYS:
        raise AccountError(f"{days} days: a token lasts 1 to {MOST_DAYS}.")
    secret, now = PREFIX + secrets.token_urlsafe(32), utc_now()
    with database.write() as session:
        owner = session.get(Account, account)
        if owner is None or owner.disabled_at is not None:
            raise AccountError(f"account {account}: there is none of that name that can sign in.")
        row = ApiToken(
            token_sha256=_digest(secret), account=account, purpose=purpose, created_at=now, created_by=by,
            expires_at=now + timedelta(days=days), seen_at=None, revoked_at=None,
        )  # fmt: skip
        session.add(row)
        session.flush()
        facts = {"token": row.id, "account": account, "purpose": purpose, "expires_at": row.expires_at.isoformat()}
        audit.append(session, kind="token created", by=by, facts=facts)
        return NewToken(id=row.id, secret=secret)


def list_tokens(database: Database, account: str | None = None) -> list[ApiToken]:
    """Return the tokens of an account, or of all, the oldest first; also those that have ended."""
    query = select(ApiToken).order_by(ApiToken.id)
    with database.read() as session:
        return list(session.scalars(query if account is None else query.where(ApiToken.account == account)))


def state_of(token: ApiToken) -> str:
    """Return "active", "expired" or "revoked"."""
    if token.revoked_at is not None:
        return "revoked"
    return "active" if utc_now() < token.expires_at else "expired"


def revoke(database: Database, token_id: int, *, by: str = COMMAND_LINE) -> None:
    """End a token; felt at the program's next request.

    Raises:
        AccountError: There is no such token, or it was revoked already.
    """
    with database.write() as session:
        row = session.get(ApiToken, token_id)
        if row is None or row.revoked_at is not None:
            raise AccountError(f"token {token_id}: there is none of that number that could be revoked.")
        row.revoked_at = utc_now()
        facts = {"token": token_id, "account": row.account, "purpose": row.purpose}
        audit.append(session, kind="token revoked", by=by, facts=facts)


def check(database: Database, secret: str) -> SignedIn | None:
    """Return as whom a program acts; None when the token is unknown, ended, or its account is disabled."""
    query = select(ApiToken, Account).join(Account, Account.name == ApiToken.account)
    with database.read() as session:
        found = session.execute(query.where(ApiToken.token_sha256 == _digest(secret))).one_or_none()
    if found is None:
        return None
    token, account = found
    now = utc_now()
    if token.revoked_at is not None or now >= token.expires_at or account.disabled_at is not None:
        return None
    if token.seen_at is None or now - token.seen_at > _SEEN_EVERY:
        with suppress(DiskFull), database.write() as session:
            session.execute(update(ApiToken).where(ApiToken.id == token.id).values(seen_at=now))
    return SignedIn(name=account.name, role=account.role, csrf_token="", via=f"token {token.id}: {token.purpose}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
