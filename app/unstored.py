"""What is answered while the study's database does not answer, or has no room for what was sent."""

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from app.words import words_of_browser
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


def unstored(headers: Headers, error: DatabaseError) -> JSONResponse:
    """Answer one of `UNSTORED` as JSON, in the language that the request asks for: nobody's own can be read now."""
    sentence, status = told_of(error)
    return JSONResponse({"error": words_of_browser(headers).of(sentence)}, status)
