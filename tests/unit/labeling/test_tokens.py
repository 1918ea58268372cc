"""Tokens: shown once, stored as a hash, ended by time, by revocation and with the account."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from datasets.db import utc_now
from labeling import accounts, tokens
from labeling.errors import AccountError
from labeling.records import Event
from labeling.verification import check_chain


@pytest.fixture
def database(services):
    accounts.add_account(services.database, "ada", "adjudicator", "a long password")
    return services.database


def test_token__acts_as_its_account_and_is_stored_as_a_hash_only(database) -> None:
    made = tokens.create(database, "ada", "lab system")
    person = tokens.check(database, made.secret)
    with database.read() as session:
        stored = str(session.execute(text("SELECT * FROM api_tokens")).all())
        chain = "".join(session.scalars(select(Event.body)))

    assert (person.name, person.role, person.via) == ("ada", "adjudicator", f"token {made.id}: lab system")
    assert len(made.secret) > 40
    assert made.secret not in stored + chain
    assert made.secret.removeprefix(tokens.PREFIX) not in stored + chain
    for wrong in ("", "x", made.secret[:-1], made.secret + "x", made.secret.upper()):
        assert tokens.check(database, wrong) is None


def test_token__a_changed_role_counts_at_once(database) -> None:
    made = tokens.create(database, "ada", "lab system")
    accounts.set_role(database, "ada", "auditor")

    assert tokens.check(database, made.secret).role == "auditor"


def test_token__ends_when_revoked_and_with_its_account(database) -> None:
    first, second = (tokens.create(database, "ada", f"program {n}") for n in range(2))
    tokens.revoke(database, first.id, by="root")

    assert tokens.check(database, first.secret) is None
    assert tokens.check(database, second.secret) is not None
    accounts.disable(database, "ada")
    assert tokens.check(database, second.secret) is None
    assert [tokens.state_of(t) for t in tokens.list_tokens(database, "ada")] == ["revoked", "active"]
    with pytest.raises(AccountError, match="token 1: there is none"):
        tokens.revoke(database, first.id)


def test_token__ends_by_itself(database) -> None:
    made = tokens.create(database, "ada", "lab system", days=1)

    def expire_in(seconds: float) -> None:
        moment = (utc_now() + timedelta(seconds=seconds)).isoformat(timespec="microseconds")
        with database.write() as session:
            session.execute(text("UPDATE api_tokens SET expires_at = :at"), {"at": moment})

    assert timedelta(hours=23) < tokens.list_tokens(database)[0].expires_at - utc_now() <= timedelta(days=1)
    expire_in(5)
    assert tokens.check(database, made.secret) is not None
    expire_in(-0.001)
    assert tokens.check(database, made.secret) is None
    assert tokens.state_of(tokens.list_tokens(database)[0]) == "expired"


def test_token__making_and_ending_are_told_in_the_chain(database) -> None:
    made = tokens.create(database, "ada", "lab system", by="root")
    tokens.revoke(database, made.id, by="eve")
    with database.read() as session:
        bodies = [json.loads(body) for body in session.scalars(select(Event.body).order_by(Event.seq))]

    assert [(b["kind"], b["by"], b["facts"]["account"]) for b in bodies[-2:]] == [
        ("token created", "root", "ada"), ("token revoked", "eve", "ada"),
    ]  # fmt: skip
    assert check_chain(database).problems == ()


def test_token__its_last_request_is_noted_to_the_minute(database) -> None:
    made = tokens.create(database, "ada", "lab system")
    assert tokens.list_tokens(database)[0].seen_at is None
    tokens.check(database, made.secret)
    first = tokens.list_tokens(database)[0].seen_at
    tokens.check(database, made.secret)

    assert utc_now() - first < timedelta(seconds=30)
    assert tokens.list_tokens(database)[0].seen_at == first


@pytest.mark.parametrize(
    ("account", "purpose", "days", "match"),
    [("nobody", "x", 9, "account nobody"), ("ada", "", 9, "purpose"), ("ada", "a\nb", 9, "purpose"),
     ("ada", "x" * 65, 9, "purpose"), ("ada", "x", 0, "0 days"), ("ada", "x", 367, "367 days")],
)  # fmt: skip
def test_token__what_makes_no_sense_is_refused(database, account, purpose, days, match) -> None:
    with pytest.raises(AccountError, match=match):
        tokens.create(database, account, purpose, days=days)
    assert tokens.list_tokens(database) == []


def test_token__a_disabled_account_gets_none(database) -> None:
    accounts.disable(database, "ada")

    with pytest.raises(AccountError, match="account ada"):
        tokens.create(database, "ada", "lab system")
