"""What all routes share: who asks, numbers and texts of a request, refusals as a sentence."""

import math
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeGuard

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.sign_in import MOST_BYTES
from app.unstored import UNSTORED, unstored
from app.words import Words, reader_words
from datasets.db import Database
from labeling.accounts import Right, SignedIn

LONGEST_NAME = 80
_MOST = 1e15
"""No place on a slide is further away."""
_HALVES = re.compile("[\ud800-\udfff]")

Handler = Callable[[Request], Awaitable[Response]]
Row = dict[str, Any]


class BadRequest(Exception):
    """A request that makes no sense, with the reason."""


class Forbidden(Exception):
    """A request that this account may not make, with the reason."""


class NotFound(Exception):
    """Something that is not there."""


class Stale(Exception):
    """A request about what is no longer so; the page has to ask anew."""


class TooMany(Exception):
    """A request that others of its kind leave no room for."""


def guarded(handler: Handler) -> Handler:
    """Answer a refused request with its reason as JSON."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except BadRequest as error:
            return JSONResponse({"error": str(error)}, 400)
        except Forbidden as error:
            return JSONResponse({"error": str(error)}, 403)
        except Stale as error:
            return JSONResponse({"error": str(error)}, 409)
        except UNSTORED as error:
            return unstored(request.headers, error)

    return answer


def person(request: Request) -> SignedIn:
    """Return who asks; the gate has put it there."""
    signed_in: SignedIn = request.state.signed_in
    return signed_in


def allowed(request: Request, right: Right) -> SignedIn:
    """Return who asks.

    Raises:
        Forbidden: This account may not do that.
    """
    signed_in = person(request)
    if not signed_in.may(right):
        raise Forbidden(f"The role {signed_in.role} may not do this; ask an admin for another role.")
    return signed_in


async def words_of(database: Database, request: Request) -> Words:
    """Return the words of whoever asks this, as `reader_words` does."""
    spoken = request.headers.get("accept-language", "")
    return await run_in_threadpool(reader_words, database, person(request).name, spoken)


def receipt_row(receipt: Any, tr: Words) -> Row:
    """Return what became of one event, with the reason of a refusal in the reader's language."""
    return {"key": receipt.key, "accepted": receipt.accepted, "reason": tr.of(receipt.reason or "") or None}


def whole_number(request: Request, name: str, *, default: int, most: int) -> int:
    """Read a whole number from the address.

    Raises:
        BadRequest: It is not one from 1 to `most`.
    """
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or not 1 <= int(text) <= most:
        raise BadRequest(f"{name}={text[:20]}: use a whole number from 1 to {most}.")
    return int(text)


def query_number(request: Request, name: str, default: float = 0.0) -> float:
    """Read a finite number from the address.

    Raises:
        BadRequest: It is something else.
    """
    text = request.query_params.get(name, str(default))
    try:
        value = float(text)
    except ValueError as error:
        raise BadRequest(f"{name}={text[:20]}: a number is needed.") from error
    if not math.isfinite(value):
        raise BadRequest(f"{name}={text[:20]}: a number is needed.")
    return value


def id_list(request: Request, name: str, *, most: int) -> list[str]:
    """Read ids, separated by commas, from the address.

    Raises:
        BadRequest: There are more than `most`.
    """
    return ids_of(name, request.query_params.get(name, ""), most)


def ids_of(name: str, text: str, most: int) -> list[str]:
    """Read ids, separated by commas.

    Raises:
        BadRequest: There are more than `most`.
    """
    ids = [part for part in text.split(",") if part]
    if len(ids) > most:
        raise BadRequest(f"{name}: {len(ids)} ids; at most {most}.")
    return ids


async def json_body(request: Request) -> Any:
    """Read the body.

    Raises:
        BadRequest: It is too long, or not JSON.
    """
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise BadRequest(f"{len(body)} bytes; send at most {MOST_BYTES} at once.")
    try:
        return await request.json()
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON.") from error


def rows_of(body: Any, name: str, *, most: int) -> list[Row]:
    """Return the list of objects of that name.

    Raises:
        BadRequest: It is missing, empty, too long, or holds something else.
    """
    rows = body.get(name) if isinstance(body, dict) else None
    if not isinstance(rows, list) or not 1 <= len(rows) <= most or not all(isinstance(row, dict) for row in rows):
        raise BadRequest(f"send an object with 1 to {most} {name}.")
    return rows


def text_of(row: Row, name: str) -> str:
    """Return a short text.

    Raises:
        BadRequest: It is missing or too long.
    """
    value = row.get(name)
    if not _is_text(value) or not 0 < len(value) <= LONGEST_NAME:
        raise BadRequest(f"{name}: a text of 1 to {LONGEST_NAME} characters is needed.")
    return value


def optional_text_of(row: Row, name: str) -> str | None:
    """Return a text, None where there is none.

    Raises:
        BadRequest: It is not a text.
    """
    value = row.get(name)
    if value is not None and not _is_text(value):
        raise BadRequest(f"{name}: a text is needed.")
    return value or None


def _is_text(value: Any) -> TypeGuard[str]:
    """Return whether both kinds of database can store it: neither a NUL nor half of a character."""
    return isinstance(value, str) and "\0" not in value and not _HALVES.search(value)


def number_of(row: Row, name: str) -> float:
    """Return a finite number, 0 where there is none.

    Raises:
        BadRequest: It is something else.
    """
    value = row.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
        raise BadRequest(f"{name}: a number is needed.")
    return float(value)


def moment_of(row: Row, name: str) -> datetime | None:
    """Return a moment with its time zone, None where there is none.

    Raises:
        BadRequest: It is not one.
    """
    value = row.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"{name}: an ISO 8601 time is needed.") from error
    if moment.tzinfo is None:
        raise BadRequest(f"{name}: the time zone is missing.")
    return moment
