"""What is answered while the study's database does not answer, or has no room for what was sent."""

from datasets.errors import ConnectionLost, DatabaseError, DiskFull

UNSTORED = (ConnectionLost, DiskFull)
"""What is no fault of the request: the same one may be sent again later."""


def told_of(error: DatabaseError) -> tuple[str, int]:
    """Return the sentence and the HTTP status for one of `UNSTORED`.

    The error's own text names the database's place, which is nothing for strangers.
    """
    if isinstance(error, DiskFull):
        return "The disk of the study is full or broken: nothing of this was stored. Send it again later.", 507
    return "The database does not answer. Nothing that was saved is lost; send it again.", 503
