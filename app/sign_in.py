"""The gate: nothing is answered to a browser that has not signed in, nor to a program without a token.

A pure ASGI middleware, because Starlette's own base class does not see websockets.
"""

import hmac
from urllib.parse import urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import cookie_parser
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.login_page import login_page, page_of
from app.open_pages import REVOKED, OpenPage
from app.unknown_page import is_for_a_page, unknown_page
from app.unstored import UNSTORED, told_of, unstored
from app.words import words_of_browser
from datasets.db import Database
from datasets.errors import DatabaseError
from labeling import accounts, tokens
from labeling.accounts import Right, SignedIn

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
_UPLOADS = "/_stcore/upload_file"
"""No page takes files this way: nobody may fill the memory with them."""
_LONGEST_PATH = 500
MOST_BYTES = 256_000
"""Of a request's body, below `/api/`."""
_MOST_FORM_BYTES = 16_000
"""Of what strangers may send: a name and a password."""

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
        has_sign_on: The hospital's own sign-on is offered too.
    """

    def __init__(self, app: ASGIApp, database: Database, *, has_sign_on: bool = False) -> None:
        self._app, self._database, self._has_sign_on = app, database, has_sign_on
        self._of_routes = RequestBodyLimitMiddleware(app, MOST_BYTES)
        self._of_strangers = RequestBodyLimitMiddleware(app, _MOST_FORM_BYTES)

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
            await _unstored(scope, error, has_sign_on=self._has_sign_on)(scope, receive, _with_headers(scope, send))

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
            if refusal is None and person and is_for_a_page(scope, headers):
                languages = headers.get("accept-language", "")
                refusal = await run_in_threadpool(unknown_page, self._database, person, scope["path"], languages)
            await (refusal or self._behind(scope["path"]))(scope, receive, _with_headers(scope, send))

    def _behind(self, path: str) -> ASGIApp:
        if path in OPEN_PATHS:
            return self._of_strangers
        # Those of other programs have the same limit of their own, and say it in their own way.
        return self._of_routes if path.startswith("/api/") and not path.startswith(f"{PUBLIC}/") else self._app

    def _check(self, token: str, *, is_action: bool) -> SignedIn | None:
        return accounts.check_sign_in(self._database, token, is_action=is_action)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, token: str | None) -> None:
        if token is None or not _is_same_origin(scope, Headers(scope=scope)):
            await send({"type": "websocket.close", "code": REVOKED})
            return
        await OpenPage(self._database, token, receive, send).serve(self._app, scope)


def _refusal(scope: Scope, headers: Headers, person: SignedIn | None) -> Response | None:
    path, is_change = scope["path"], scope["method"] not in ("GET", "HEAD")
    if is_change and not _is_same_origin(scope, headers):
        return JSONResponse({"error": "The request comes from a page of another origin."}, 403)
    if _is_too_long(path, headers):
        return JSONResponse({"error": "The request is too long."}, 413)
    if path in OPEN_PATHS:
        return None
    if person is None:
        return _stranger(scope, headers, is_change=is_change)
    if person.via is None:
        if is_change and path.startswith("/api/") and not _is_same(headers.get("x-csrf-token"), person.csrf_token):
            return JSONResponse({"error": "The page is from another sign-in. Reload it."}, 403)
    elif not path.startswith(f"{PUBLIC}/"):
        return JSONResponse({"error": f"A token opens what lies below {PUBLIC}, nothing else."}, 403)
    return _forbidden(path, scope["query_string"], person)


def _unstored(scope: Scope, error: DatabaseError, *, has_sign_on: bool) -> Response:
    headers = Headers(scope=scope)
    if scope["path"] == "/login":
        (sentence, status), tr = told_of(error), words_of_browser(headers)
        return HTMLResponse(login_page(tr.of(sentence), has_sign_on=has_sign_on, tr=tr), status)
    return unstored(headers, error)


def _is_too_long(path: str, headers: Headers) -> bool:
    """Return whether a request says itself that it is; what comes in pieces is counted behind the gate."""
    length, most = headers.get("content-length", ""), _MOST_FORM_BYTES if path in OPEN_PATHS else MOST_BYTES
    return length.isdecimal() and (len(length) > 15 or int(length) > most)


def _stranger(scope: Scope, headers: Headers, *, is_change: bool) -> Response:
    if "authorization" in headers:
        sentence = "The token is unknown, expired or revoked, or its account is disabled."
    elif "text/html" in headers.get("accept", "") and not is_change:
        page = page_of(f"{scope['path']}?{scope['query_string'].decode('latin-1')}".removesuffix("?"))
        return RedirectResponse("/login" if page == "/" else f"/login?{urlencode({'next': page})}", 303)
    else:
        sentence = "Signed out. Sign in again."
    return JSONResponse({"error": sentence}, 401, headers={"WWW-Authenticate": "Bearer"})


def _is_same(given: str | None, wanted: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), wanted.encode())


def _forbidden(path: str, query: bytes, person: SignedIn) -> Response | None:
    if path.startswith(_UPLOADS):
        return JSONResponse({"error": "No page takes files this way."}, 403)
    if not path.startswith("/api/"):
        return None
    if not path.isprintable() or b"%00" in query:  # a line feed would slip past the patterns of the routes
        return JSONResponse({"error": "The address holds a character that no address has."}, 400)
    if len(path) > _LONGEST_PATH:  # nor is a number of thousands of digits read
        return JSONResponse({"error": "The path is longer than any that there is."}, 400)
    right = ROUTE_RIGHTS.get(room_of(path))
    if right is None:
        return JSONResponse({"error": "No route of this name is open to anybody."}, 403)
    if not person.may(right):
        return JSONResponse({"error": f"The role {person.role} may not do this."}, 403)
    return None


def room_of(path: str) -> str:
    """Return the part of a path that names its right: two words, below `PUBLIC` three."""
    return "/".join(path.split("/")[: 4 if path.startswith(f"{PUBLIC}/") else 3])


def _is_tls(scope: Scope) -> bool:
    return scope["scheme"] in ("https", "wss")


def _is_same_origin(scope: Scope, headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.netloc == headers.get("host") and (parts.scheme == "https" or not _is_tls(scope))


def _with_headers(scope: Scope, send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if _is_tls(scope):  # Streamlit's own cookie does not know that a proxy ends TLS
                message["headers"] = [_only_by_tls(name, value) for name, value in headers.raw]
        await send(message)

    return with_headers


def _only_by_tls(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    is_open = name.lower() == b"set-cookie" and b"; secure" not in value.lower()
    return name, value + b"; Secure" if is_open else value


def session_token(headers: Headers) -> str | None:
    """Return the browser's token from its cookie."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)


def bearer_token(headers: Headers) -> str | None:
    """Return a program's token from its header, None where it holds something else."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None
