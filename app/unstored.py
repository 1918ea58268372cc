"""What is answered while the study's database does not answer, or has no room for what was sent."""

from datasets.errors import ConnectionLost, DatabaseError, DiskFull
from datasets.told import Told, told

UNSTORED = (ConnectionLost, DiskFull)
"""What is no fault of the request: the same one may be sent again later."""


def told_of(error: DatabaseError) -> tuple[Told, int]:
    """Return the sentence and the HTTP status for one of `UNSTORED`.

    The error's own text names the database's place, which is nothing for strangers.
    """
    if isinstance(error, DiskFull):
        return told("The disk of the study is full or broken: nothing of this was stored. Send it again later."), 507
    return told("The database does not answer. Nothing that was saved is lost; send it again."), 503
