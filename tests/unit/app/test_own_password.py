"""A person changes the own password."""

import pytest

from app.own_password import DIFFERENT, TOO_MANY, TOO_SHORT, WRONG, change, has_password
from labeling import accounts, identities

OLD, NEW = "a long password", "quite another one"


def test_change__opens_anew_and_ends_every_other_sign_in(services) -> None:
    database = services.database
    for name in ("ada", "ben"):
        accounts.add_account(database, name, "annotator", OLD)
    own, other, stranger = (accounts.open_sign_in(database, name) for name in ("ada", "ada", "ben"))
    assert change(database, "ada", OLD, NEW, NEW, token=own) == ("", {})

    assert [accounts.verify(database, "ada", word) for word in (OLD, NEW)] == [False, True]
    assert [accounts.check_sign_in(database, token) is not None for token in (own, other, stranger)] == [
        True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "new", "again", "why"),
    [(OLD, NEW, f"{NEW}.", DIFFERENT), (OLD, "short", "short", TOO_SHORT), ("a guess", NEW, NEW, WRONG)],
)
def test_change__is_refused_and_changes_nothing(services, before: str, new: str, again: str, why: str) -> None:
    accounts.add_account(services.database, "ada", "annotator", OLD)
    token = accounts.open_sign_in(services.database, "ada")

    assert change(services.database, "ada", before, new, again, token=token)[0] == why
    assert accounts.verify(services.database, "ada", OLD)


def test_change__guessing_at_an_open_page_is_slowed_down(services) -> None:
    accounts.add_account(services.database, "ada", "annotator", OLD)
    told = [change(services.database, "ada", f"guess {n}", NEW, NEW, token="")[0] for n in range(6)]

    assert told == [WRONG] * 5 + [TOO_MANY]


def test_has_password__not_who_comes_by_the_hospitals_sign_on_alone(services) -> None:
    accounts.add_account(services.database, "ada", "annotator", OLD)
    identities.arrive(services.database, issuer="https://x", subject="1", name="eve", role="annotator",
                      new_accounts="enabled")  # fmt: skip

    assert [has_password(services.database, name) for name in ("ada", "eve", "nobody")] == [True, False, False]
