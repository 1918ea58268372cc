"""What is told at an address where there is no page, or none for this role: before Streamlit draws anything."""

import html

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from app.bare_page import bare_page
from app.page_rights import NOT_SEEN, PAGES
from app.words import reader_words
from datasets.db import Database
from labeling.accounts import Right, SignedIn

_RIGHTS: dict[str, Right | None] = {**{title.lower(): right for right, _, title in PAGES}, "tour": "label"}
_FIRST = "label"
"""Served at `/`, as Streamlit's first page is."""
_NO_PAGES = frozenset({"_stcore", "api", "app", "auth", "component", "health", "login", "logout", "media",
                       "oauth2callback", "sign-on", "static"})  # fmt: skip
"""Where the rest of what is served lies, ours and Streamlit's."""


def is_for_a_page(scope: Scope, headers: Headers) -> bool:
    """Return whether a browser asks for a page by its address."""
    room = scope["path"].strip("/").split("/")[0]
    return (
        scope["method"] == "GET" and bool(room) and room not in _NO_PAGES and "text/html" in headers.get("accept", "")
    )


def unknown_page(database: Database, person: SignedIn, path: str, wanted_languages: str) -> Response | None:
    """Return what is told where there is no page for this person; None where there is one.

    Args:
        database: Where the own language of an account is kept.
        person: Who asks.
        path: Of the address.
        wanted_languages: The browser's, as in the header Accept-Language.
    """
    name = path.strip("/")
    right = _RIGHTS.get(name)
    if name in _RIGHTS and (right is None or person.may(right)):
        return RedirectResponse("/", 303) if name == _FIRST else None
    tr = reader_words(database, person.name, wanted_languages)
    if name in _RIGHTS:
        sentence, status = tr(NOT_SEEN, role=person.role), 403
    else:
        sentence, status = tr("There is no page at this address."), 404
    way = tr("To the first page")
    content = f'<p>{html.escape(sentence)}</p><a class="button" href="/">{html.escape(way)}</a>'
    return HTMLResponse(bare_page(content, tr), status)
