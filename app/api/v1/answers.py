"""How the public routes refuse, and how their OpenAPI document tells it."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.api.v1.shapes import Problem
from app.api.web import LONGEST_NAME, BadRequest, Forbidden, NotFound, TooMany, allowed
from app.sign_in import MOST_BYTES
from app.unstored import UNSTORED, unstored
from datasets.errors import DatabaseError
from labeling.accounts import Right, SignedIn

Documented = dict[int | str, dict[str, Any]]

_STATUS: dict[type[Exception], int] = {BadRequest: 400, Forbidden: 403, NotFound: 404, TooMany: 429}
_ALWAYS = {
    400: "The request makes no sense.",
    401: "No token, or one that has ended.",
    403: "The account's role may not do this.",
}
ALWAYS: Documented = {status: {"model": Problem, "description": text} for status, text in _ALWAYS.items()}
TOO_LONG: Documented = {413: {"model": Problem, "description": f"More than {MOST_BYTES} bytes."}}
MISSING: Documented = {404: {"model": Problem, "description": "There is no such thing."}}


class Route(APIRoute):
    """Refuses a question with a word that it does not know: a misspelt filter must not be left out in silence."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the check in front."""
        handler, known = super().get_route_handler(), sorted(field.alias for field in self.dependant.query_params)

        async def checked(request: Request) -> Response:
            unknown = sorted(set(request.query_params) - set(known))
            if unknown:
                raise BadRequest(f"{unknown[0][:LONGEST_NAME]!r}: no such parameter; known are {known}.")
            return await handler(request)

        return checked


def may(right: Right) -> Callable[[Request], Coroutine[Any, Any, SignedIn]]:
    """Return the dependency that tells who asks, and refuses an account without the right."""

    async def asker(request: Request) -> SignedIn:
        return allowed(request, right)

    return asker


def tell_refusals(app: FastAPI) -> None:
    """Answer every refused request as `Problem`, those of the framework too."""
    for kind in _STATUS:
        app.add_exception_handler(kind, _refused)
    for kind in UNSTORED:
        app.add_exception_handler(kind, _unstored)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _refused(_request: Request, error: Exception) -> Response:
    return _problem(str(error), _STATUS[type(error)])


async def _unstored(request: Request, error: Exception) -> Response:
    assert isinstance(error, DatabaseError)
    return unstored(request.headers, error)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    # The value itself is not repeated: it may be long, or what must not stand in a log.
    place = ".".join(str(part) for part in first["loc"][1:])
    is_unknown_kind = first["type"] == "union_tag_invalid"
    said = f"use one of {first['ctx']['expected_tags']}" if is_unknown_kind else first["msg"]
    return _problem(f"{place}: {said}." if place else f"{said}.", 400)


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = error.detail if error.detail != HTTPStatus(error.status_code).phrase else f"{error.detail}."
    return _problem(sentence, error.status_code, error.headers)


def _problem(sentence: str, status: int, headers: Any = None) -> Response:
    return JSONResponse({"error": sentence}, status, headers=headers)
