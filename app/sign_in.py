"""The gate: nothing is answered to a browser that has not signed in, nor to a program without a token.

A pure ASGI middleware, because Starlette's own base class does not see websockets.
"""

import html
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.open_pages import REVOKED, OpenPage
from app.theme import LOGIN_STYLE
from app.unstored import UNSTORED, told_of
from datasets.db import Database
from datasets.errors import DatabaseError
from labeling import accounts, tokens
from labeling.accounts import FailureBrake, Right, SignedIn

COOKIE = "cytojepa_session"
OPEN_PATHS = frozenset({"/login", "/health", "/sign-on", "/sign-on/back"})
"""All that a stranger gets to see."""
PUBLIC = "/api/v1"
"""Where the routes lie that other programs use too; all that a token opens."""
ROUTE_RIGHTS: dict[str, Right] = {
    f"{PUBLIC}/study": "progress",
    f"{PUBLIC}/openapi.json": "progress",
    f"{PUBLIC}/worklist": "label",
    f"{PUBLIC}/labels": "label",
    f"{PUBLIC}/recent": "label",
    f"{PUBLIC}/choices": "label",
    f"{PUBLIC}/release": "label",
    f"{PUBLIC}/cells": "pictures",
    f"{PUBLIC}/suggestions": "pictures",
    f"{PUBLIC}/export": "export",
    f"{PUBLIC}/order": "runs",
    "/api/gallery": "label",
    "/api/references": "label",
    "/api/exemplars": "label",
    "/api/map": "label",
    "/api/cases": "adjudicate",
    "/api/verdicts": "adjudicate",
    "/api/exports": "export",
    "/api/atlas": "pictures",
    "/api/slides": "pictures",
    "/api/slide-cells": "label",
    "/api/finds": "label",
    "/api/opinions": "label",
}
"""What it takes to use a route of our own, by `room_of` its path; others are closed to all."""
_FETCHED_BY_PAGES = ("/media/", "/_stcore/")
"""What a page that renews itself fetches without anybody being there."""
_HASHES_AT_ONCE = 2
"""A password's hash takes 64 MB and a core for a while."""
_LONGEST_LINE = 64

# Streamlit's own scripts are inline and compile templates; nothing may come from another host.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SignInGate:
    """Deny by default, for HTTP and websocket alike.

    Args:
        app: What lies behind.
        database: Where sign-ins are kept.
    """

    def __init__(self, app: ASGIApp, database: Database) -> None:
        self._app, self._database = app, database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""  # noqa: DOC501  (what is raised is what came)
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begun: list[str] = []

        async def noted(message: Message) -> None:
            begun.append(message["type"])
            await send(message)

        try:
            await self._answer(scope, receive, noted)
        except UNSTORED as error:
            # Here, because the application's own handler would only say that something went wrong.
            if begun or scope["type"] == "websocket":
                raise
            await _unstored(scope, error)(scope, receive, _with_headers(send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        token, person = session_token(headers), None
        if scope["type"] == "http" and "authorization" in headers:
            # A program: its cookies, if it has any, count for nothing.
            secret = bearer_token(headers)
            person = await run_in_threadpool(tokens.check, self._database, secret) if secret else None
        elif token:
            person = await run_in_threadpool(
                self._check, token, is_action=not scope["path"].startswith(_FETCHED_BY_PAGES)
            )
        scope.setdefault("state", {})["signed_in"] = person
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send, token if person else None)
        else:
            refusal = _refusal(scope, headers, person)
            await (refusal or self._app)(scope, receive, _with_headers(send))

    def _check(self, token: str, *, is_action: bool) -> SignedIn | None:
        return accounts.check_sign_in(self._database, token, is_action=is_action)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, token: str | None) -> None:
        if token is None or not _is_same_origin(Headers(scope=scope)):
            await send({"type": "websocket.close", "code": REVOKED})
            return
        await OpenPage(self._database, token, receive, send).serve(self._app, scope)


def _refusal(scope: Scope, headers: Headers, person: SignedIn | None) -> Response | None:
    path, is_change = scope["path"], scope["method"] not in ("GET", "HEAD")
    if is_change and not _is_same_origin(headers):
        return JSONResponse({"error": "The request comes from a page of another origin."}, 403)
    if path in OPEN_PATHS:
        return None
    if person is None:
        return _stranger(headers, is_change=is_change)
    if person.via is None:
        if is_change and path.startswith("/api/") and headers.get("x-csrf-token") != person.csrf_token:
            return JSONResponse({"error": "The page is from another sign-in. Reload it."}, 403)
    elif not path.startswith(f"{PUBLIC}/"):
        return JSONResponse({"error": f"A token opens what lies below {PUBLIC}, nothing else."}, 403)
    return _forbidden(path, person)


def _unstored(scope: Scope, error: DatabaseError) -> Response:
    sentence, status = told_of(error)
    if scope["path"] == "/login":
        return HTMLResponse(login_page(sentence), status)
    return JSONResponse({"error": sentence}, status)


def _stranger(headers: Headers, *, is_change: bool) -> Response:
    if "authorization" in headers:
        sentence = "The token is unknown, expired or revoked, or its account is disabled."
    elif "text/html" in headers.get("accept", "") and not is_change:
        return RedirectResponse("/login", 303)
    else:
        sentence = "Signed out. Sign in again."
    return JSONResponse({"error": sentence}, 401, headers={"WWW-Authenticate": "Bearer"})


def _forbidden(path: str, person: SignedIn) -> Response | None:
    if not path.startswith("/api/"):
        return None
    if not path.isprintable():  # a line feed would slip past the patterns of the routes
        return JSONResponse({"error": "The path holds a character that no path has."}, 400)
    right = ROUTE_RIGHTS.get(room_of(path))
    if right is None:
        return JSONResponse({"error": "No route of this name is open to anybody."}, 403)
    if not person.may(right):
        return JSONResponse({"error": f"The role {person.role} may not do this."}, 403)
    return None


def room_of(path: str) -> str:
    """Return the part of a path that names its right: two words, below `PUBLIC` three."""
    return "/".join(path.split("/")[: 4 if path.startswith(f"{PUBLIC}/") else 3])


def _is_same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return with_headers


def session_token(headers: Headers) -> str | None:
    """Return the browser's token from its cookie."""
    cookie: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
    return cookie[COOKIE].value if COOKIE in cookie else None


def bearer_token(headers: Headers) -> str | None:
    """Return a program's token from its header, None where it holds something else."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def sign_in_routes(database: Database, brake: FailureBrake, *, has_sign_on: bool = False) -> list[Route]:
    """Return the routes `/login`, `/logout` and `/health`.

    Args:
        database: Where accounts and sign-ins are kept.
        brake: Slows down guessing.
        has_sign_on: The hospital's own sign-on is offered too.
    """
    line = CapacityLimiter(_HASHES_AT_ONCE)

    def sign_in_page(problem: str = "", status: int = 200) -> Response:
        return HTMLResponse(login_page(problem, has_sign_on=has_sign_on), status)

    async def login(request: Request) -> Response:
        if request.method == "GET":
            return sign_in_page()
        form = await request.form()
        name, password = (str(form.get(key, "")) for key in ("name", "password"))
        wait = await run_in_threadpool(brake.wait_seconds, name)
        if wait > 0:
            return sign_in_page(f"Too many tries. Wait {wait:.0f} seconds.", 429)
        if line.statistics().tasks_waiting >= _LONGEST_LINE:
            return sign_in_page("Many people sign in at this moment. Try again.", 503)
        # A line of its own: waiting in the pool of threads, many sign-ins would stop the labels.
        is_right = await to_thread.run_sync(accounts.verify, database, name, password, limiter=line)
        await run_in_threadpool(lambda: brake.note(name, succeeded=is_right))
        if not is_right:
            return sign_in_page("Name or password is wrong.", 401)
        return await signed_in_response(request, database, name)

    async def logout(request: Request) -> Response:
        token = session_token(request.headers)
        if token:
            await run_in_threadpool(accounts.end_sign_in, database, token)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    async def health(_request: Request) -> Response:
        return JSONResponse({"ok": True})

    return [Route("/login", login, methods=["GET", "POST"]), Route("/logout", logout),
            Route("/health", health)]  # fmt: skip


async def signed_in_response(request: Request, database: Database, name: str) -> Response:
    """Open a sign-in and send the browser to the pages with its cookie."""
    response = RedirectResponse("/", 303)
    token = await run_in_threadpool(accounts.open_sign_in, database, name)
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax",
                        secure=is_https(request), max_age=accounts.ABSOLUTE_SECONDS)  # fmt: skip
    return response


def is_https(request: Request) -> bool:
    """Return whether the browser has come by TLS."""
    return request.url.scheme == "https"


def login_page(problem: str = "", *, has_sign_on: bool = False) -> str:
    """Return the page on which people sign in, with what went wrong before."""
    alert = f'<div role="alert">{html.escape(problem)}</div>' if problem else ""
    other = '<a class="button" href="/sign-on">Sign in with the hospital\'s account</a>' if has_sign_on else ""
    values: dict[str, Any] = {"style": LOGIN_STYLE, "alert": alert, "other": other}
    return _PAGE.format(**values)


_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CytoJEPA</title>
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><main><h1>CytoJEPA</h1><p>Labelling of cervical cytology</p>
<form method="post" action="/login"><label>Name
<input name="name" autocomplete="username" autofocus required></label><label>Password
<input name="password" type="password" autocomplete="current-password" required></label>{alert}
<button>Sign in</button></form>{other}
<footer>Research use only. Not a medical device.</footer></main></body></html>"""
