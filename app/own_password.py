"""A person changes the own password: guesses are slowed down as at the door, and all other sign-ins end."""

from app.guesses import guess
from app.words import word
from datasets.db import Database
from labeling import accounts
from labeling.accounts import NO_PASSWORD, SHORTEST_PASSWORD, FailureBrake

TOO_SHORT = word("Use at least {n} characters.")
DIFFERENT = word("The two new passwords differ.")
TOO_MANY = word("Too many tries. Wait {n} seconds.")
WRONG = word("The password until now is wrong.")


def has_password(database: Database, name: str) -> bool:
    """Return whether an account has one; who comes by the hospital's sign-on alone has none."""
    return any(row.name == name and row.password_hash != NO_PASSWORD for row in accounts.list_accounts(database))


def change(
    database: Database, name: str, before: str, new: str, again: str, *, token: str
) -> tuple[str, dict[str, int]]:  # fmt: skip
    """Change a password; return why not, with the sentence's values, and an empty sentence where it is changed.

    Args:
        database: The study's database.
        name: Whose.
        before: The one until now: an open page alone must not be enough.
        new: The new one.
        again: The same, typed once more.
        token: Of the browser that asks, which stays signed in.
    """
    if new != again:
        return DIFFERENT, {}
    if len(new) < SHORTEST_PASSWORD:
        return TOO_SHORT, {"n": SHORTEST_PASSWORD}
    wait, is_right = guess(database, FailureBrake(database), name, before)
    if wait > 0:
        return TOO_MANY, {"n": round(wait) or 1}
    if not is_right:
        return WRONG, {}
    accounts.set_password(database, name, new, own=token)
    return "", {}
