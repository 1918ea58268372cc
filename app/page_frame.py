"""The document around a page, and what Streamlit's frame asks about its surroundings: ours, not Streamlit's.

Streamlit's own document is titled "Streamlit", is white while it loads, is always English, and does not say where its
server is: opened at a page's address it looks below that address first, two requests in vain before anything is drawn.
Where its connection breaks it opens a window over the cell, in English and with the server's raw answer, under which
nothing can be clicked. The pages tell themselves what waits, and lead to the door when the sign-in has ended.
"""

import html
import re
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.theme import ICON, PAPER, PAPER_AT_NIGHT
from app.unknown_page import is_for_a_page
from app.words import Words, reader_words, word
from datasets.db import Database
from labeling.accounts import SignedIn

PATH = "/_stcore/host-config"
_CONFIG = {
    "allowedOrigins": [], "useExternalAuthToken": False, "enableCustomParentMessages": False,
    "enforceDownloadInNewTab": False, "metricsUrl": "", "blockErrorDialogs": True, "resourceCrossOriginMode": None,
}  # fmt: skip
"""As Streamlit 1.67 answers, but that it opens no windows and listens to no page around it."""
_NO_SCRIPT = word("These pages need JavaScript, which this browser does not run. Allow it for this address.")
_FRAME = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>CytoJEPA</title>
<link rel="icon" href="{icon}"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>html {{ background: {day}; }} @media (prefers-color-scheme: dark) {{ html {{ background: {night}; }} }}</style>
<script>window.__streamlit = {{ BACKEND_BASE_URL: location.origin }};</script>
{links}</head><body><noscript><p>{no_script}</p></noscript><div id="root"></div></body></html>"""

_LOADED = r'<script type="module".*?</script>|<link\s[^>]*rel="(?:modulepreload|preload|stylesheet)"[^>]*>'


class PageFrame:
    """Answers for Streamlit what it asks and says outside the pages; its own routes of these names are reserved.

    Args:
        app: What lies behind.
        database: Where the own language of an account is kept.
    """

    def __init__(self, app: ASGIApp, database: Database) -> None:
        self._app, self._database = app, database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is the frame's; pass on all others."""
        app = await self._own(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        await (app or self._app)(scope, receive, send)

    async def _own(self, scope: Scope) -> Response | None:
        if scope["path"] == PATH:
            return JSONResponse(_CONFIG, headers={"Cache-Control": "no-cache"})
        headers = Headers(scope=scope)
        person: SignedIn | None = scope.get("state", {}).get("signed_in")
        if person is None or not (scope["path"] == "/" or is_for_a_page(scope, headers)):
            return None
        tr = await run_in_threadpool(reader_words, self._database, person.name, headers.get("accept-language", ""))
        return HTMLResponse(_document(tr), headers={"Cache-Control": "no-cache"})


def _document(tr: Words) -> str:
    no_script = html.escape(tr(_NO_SCRIPT))
    return _FRAME.format(
        language=tr.language, icon=ICON, day=PAPER, night=PAPER_AT_NIGHT, links=_links(), no_script=no_script
    )


@cache
def _links() -> str:
    """Return what Streamlit's document loads: its scripts, styles and type, also of an address with a last slash."""
    document = (Path(st.__file__).parent / "static" / "index.html").read_text("utf-8")
    return "\n".join(re.findall(_LOADED, document, re.DOTALL)).replace('="./', '="/')
