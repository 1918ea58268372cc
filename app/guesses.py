"""A password that somebody types: each guess waits for the brake and is counted."""

from datasets.db import Database
from labeling import accounts
from labeling.accounts import FailureBrake


def guess(database: Database, brake: FailureBrake, name: str, password: str) -> tuple[float, bool]:
    """Return how many seconds to wait before the next guess, and whether this one, if it was looked at, is right.

    Args:
        database: The study's database.
        brake: Slows down guessing.
        name: Of the account.
        password: What was typed; not looked at while there is something to wait for.
    """
    wait = brake.wait_seconds(name)
    if wait > 0:
        return wait, False
    is_right = accounts.verify(database, name, password)
    brake.note(name, succeeded=is_right)
    return 0.0, is_right
