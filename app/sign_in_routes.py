"""The routes `/login`, `/logout` and `/health`, and what a sign-in gives the browser."""

from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.guesses import guess
from app.login_page import login_page, page_of
from app.sign_in import COOKIE, session_token
from app.words import Words, words_of_browser
from datasets.db import Database
from datasets.told import told
from labeling import accounts
from labeling.accounts import FailureBrake

BUSY = told("Many people sign in at this moment. Try again.")
_LONGEST_LINE = 64
_HASHES_AT_ONCE = 2
"""A password's hash takes 64 MB and a core for a while."""


def sign_in_routes(database: Database, brake: FailureBrake, *, has_sign_on: bool = False) -> list[Route]:
    """Return the routes `/login`, `/logout` and `/health`.

    Args:
        database: Where accounts and sign-ins are kept.
        brake: Slows down guessing.
        has_sign_on: The hospital's own sign-on is offered too.
    """
    door = _Door(database, brake, has_sign_on)

    async def health(_request: Request) -> Response:
        return JSONResponse({"ok": True})

    return [Route("/login", door.login, methods=["GET", "POST"]), Route("/logout", door.logout),
            Route("/health", health)]  # fmt: skip


class _Door:
    def __init__(self, database: Database, brake: FailureBrake, has_sign_on: bool) -> None:
        self._database, self._brake, self._has_sign_on = database, brake, has_sign_on
        self._line = CapacityLimiter(_HASHES_AT_ONCE)

    async def login(self, request: Request) -> Response:
        tr = words_of_browser(request.headers)
        if request.method == "GET":
            asked = request.query_params
            page, person = page_of(asked.get("next", "")), request.state.signed_in
            if person and person.via is None:  # in another tab; a second sign-in would end the first one's pages
                return RedirectResponse(page, 303)
            return self._page(tr, next_page=page, is_locked="locked" in asked)
        form = await request.form(max_files=0, max_fields=10)
        name, password, wanted = (str(form.get(key, "")) for key in ("name", "password", "next"))
        again = partial(self._page, tr, name=name, next_page=page_of(wanted))
        if is_full(self._line):
            return again(tr.of(BUSY), 503)
        # A line of its own: waiting in the pool of threads, many sign-ins would stop the labels.
        # All of a guess in it: many at once would be let through before the first of them is counted.
        wait, is_right = await to_thread.run_sync(
            guess, self._database, self._brake, name, password, limiter=self._line
        )
        if wait > 0:
            return again(tr("Too many tries. Wait {n} seconds.", n=round(wait)), 429)
        if not is_right:
            return again(tr("Name or password is wrong."), 401)
        return await signed_in_response(request, self._database, name, page_of(wanted))

    async def logout(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site") == "cross-site":  # somebody else's page signs nobody out
            return RedirectResponse("/", 303)
        token = session_token(request.headers)
        if token:
            await run_in_threadpool(accounts.end_sign_in, self._database, token)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        # Pictures of cells are kept by the browser for a year. Labels that wait in it are no cache: they stay.
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    def _page(self, tr: Words, problem: str = "", status: int = 200, **more: Any) -> Response:
        return HTMLResponse(login_page(problem, has_sign_on=self._has_sign_on, tr=tr, **more), status)


async def signed_in_response(request: Request, database: Database, name: str, page: str = "/") -> Response:
    """Open a sign-in and send the browser to a page with its cookie."""
    response = RedirectResponse(page, 303)
    token = await run_in_threadpool(accounts.open_sign_in, database, name)
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax",
                        secure=is_https(request), max_age=accounts.ABSOLUTE_SECONDS)  # fmt: skip
    return response


def is_full(line: CapacityLimiter) -> bool:
    """Return whether so many wait in a line already that one more is told to come again."""
    return line.statistics().tasks_waiting >= _LONGEST_LINE


def is_https(request: Request) -> bool:
    """Return whether the browser has come by TLS."""
    return request.url.scheme == "https"
