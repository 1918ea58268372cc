"""What is told at an address where there is no page, or none for this role: before Streamlit draws anything."""

import html

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from app.page_rights import PAGES
from app.theme import LOGIN_STYLE
from app.words import Words, best_language, words
from datasets.db import Database
from labeling import preferences
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
    tr = words(preferences.read(database, person.name).language or best_language(wanted_languages))
    if name in _RIGHTS:
        sentence, status = (
            tr("The role {role} does not see this page. An admin can change the role.", role=person.role),
            403,
        )
    else:
        sentence, status = tr("There is no page at this address."), 404
    return HTMLResponse(_drawn(sentence, tr), status)


def _drawn(sentence: str, tr: Words) -> str:
    values = {"language": tr.language, "style": LOGIN_STYLE, "sentence": html.escape(sentence),
              "way": html.escape(tr("To the first page"))}  # fmt: skip
    return _PAGE.format(**values)


_PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>CytoJEPA</title>
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><main><h1>CytoJEPA</h1><p>{sentence}</p><a class="button" href="/">{way}</a></main></body></html>"""
