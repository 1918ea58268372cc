"""The page on which people sign in."""

import html
import re
from typing import Any
from urllib.parse import urlencode

from app.bare_page import bare_page
from app.page_rights import PAGES
from app.words import ENGLISH, Words, word, words


def login_page(
    problem: str = "", *, name: str = "", next_page: str = "", is_locked: bool = False, has_sign_on: bool = False,
    tr: Words | None = None,
) -> str:  # fmt: skip
    """Return the page on which people sign in.

    Args:
        problem: What went wrong before, in the reader's language.
        name: As it was typed before: after a wrong password nobody types it again.
        next_page: Where the sign-in leads, as `page_of` gives it.
        is_locked: The person was there, and left the page alone for too long.
        has_sign_on: The hospital's own sign-on is offered too.
        tr: The words of the browser's language; None: English.
    """
    tr = tr or words(ENGLISH)
    in_name, in_password = ("", " autofocus") if name else (" autofocus", "")
    alert = f'<div role="alert">{html.escape(problem)}</div>' if problem else ""
    note = f'<div role="status">{html.escape(tr(_LOCKED))}</div>' if is_locked and not problem else ""
    to = urlencode({"next": next_page})
    other = tr("Sign in with the hospital's account")
    values: dict[str, Any] = {
        "alert": alert, "note": note, "next_page": html.escape(next_page), "typed": html.escape(name),
        "in_name": in_name, "in_password": in_password,
        "other": f'<a class="button" href="/sign-on?{html.escape(to)}">{html.escape(other)}</a>' if has_sign_on else "",
        "labelling": html.escape(tr("Labelling of cervical cytology")), "name": html.escape(tr("Name")),
        "password": html.escape(tr("Password")), "sign_in": html.escape(tr("Sign in")),
        "limits": html.escape(tr("Research use only. Not a medical device.")),
    }  # fmt: skip
    return bare_page(_CONTENT.format(**values), tr)


def page_of(wanted: str) -> str:
    """Return an address of this site as it was asked for; that of the first page for any other."""
    path, _, query = wanted.partition("?")
    return wanted if path in _PATHS and _QUERY.fullmatch(query) else "/"


_LOCKED = word("You are signed out. What you have answered is kept in this browser; sign in and go on where you were.")
_PATHS = {"/", "/tour", *(f"/{title.lower()}" for _, _, title in PAGES)}
_QUERY = re.compile(r"[\w=&%.,-]*", re.ASCII)
_CONTENT = """<p>{labelling}</p>{note}
<form method="post" action="/login"><input type="hidden" name="next" value="{next_page}"><label>{name}
<input name="name" value="{typed}" autocomplete="username"{in_name} required></label><label>{password}
<input name="password" type="password" autocomplete="current-password"{in_password} required></label>{alert}
<button>{sign_in}</button></form>{other}
<footer>{limits}</footer>"""
