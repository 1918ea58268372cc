"""Accounts of people who sign in at the hospital. The only writer of `identities`."""

from sqlalchemy import select

from datasets.db import Database, utc_now
from datasets.told import told
from labeling import accounts, audit
from labeling.errors import AccountError
from labeling.records import Account, Identity

BY = "sign-on"
"""Who acted, in the chain of events, where the hospital's sign-on did."""


def arrive(database: Database, *, issuer: str, subject: str, name: str, role: str, new_accounts: str) -> str:
    """Return the account of somebody whom the hospital vouches for; its role follows the hospital's.

    Args:
        database: The study's database.
        issuer: The provider.
        subject: The person's lasting name there.
        name: What a new account is called.
        role: What the person may do.
        new_accounts: "refused", "disabled" or "enabled": what happens to a person without an account.

    Raises:
        AccountError: There is no account that may be used; the text is for the person.
    """
    with database.write() as session:
        link = session.get(Identity, (issuer, subject))
        if link is None:
            account = _make(name, role, new_accounts)
            is_taken = session.get(Account, name) is not None
            if is_taken:
                raise AccountError(
                    told("An account named {name} is there already. Ask an admin to link it to yours.", name=name)
                )
            session.add(account)
            session.flush()
            session.add(Identity(issuer=issuer, subject=subject, account=name, linked_at=utc_now()))
            facts = {"name": name, "role": role, "issuer": issuer, "subject": subject}
            audit.append(session, kind="account added", by=BY, facts=facts)
        else:
            account = session.get_one(Account, link.account)
        if account.role != role and account.disabled_at is None:
            facts = {"name": account.name, "role": role, "before": account.role}
            account.role = role
            audit.append(session, kind="role changed", by=BY, facts=facts)
        found, is_disabled = account.name, account.disabled_at is not None
    if is_disabled:
        raise AccountError(told("Your account is not enabled. Ask an admin of this study."))
    return found


def link(database: Database, name: str, *, issuer: str, subject: str, by: str = accounts.COMMAND_LINE) -> None:
    """Let somebody at the hospital use an account that is there.

    Args:
        database: The study.
        name: Of the account.
        issuer: Address of the sign-on provider, as it names itself.
        subject: The provider's lasting name of the person (`sub`).
        by: Who links them: told in the chain of events.

    Raises:
        AccountError: There is no such account, or one of the two has a partner already.
    """
    with database.write() as session:
        if session.get(Account, name) is None:
            raise AccountError(f"account {name}: there is none of that name.")
        is_same = (Identity.account == name) | ((Identity.issuer == issuer) & (Identity.subject == subject))
        if session.scalar(select(Identity.account).where(is_same)) is not None:
            raise AccountError(f"account {name} or subject {subject}: is linked already.")
        session.add(Identity(issuer=issuer, subject=subject, account=name, linked_at=utc_now()))
        facts = {"name": name, "issuer": issuer, "subject": subject}
        audit.append(session, kind="account linked", by=by, facts=facts)


def _make(name: str, role: str, new_accounts: str) -> Account:
    if new_accounts == "refused":
        raise AccountError(told("You have no account in this study. Ask an admin."))
    accounts.check_name(name)
    now = utc_now()
    return Account(name=name, role=role, password_hash=accounts.NO_PASSWORD, created_at=now,
                   disabled_at=None if new_accounts == "enabled" else now)  # fmt: skip
