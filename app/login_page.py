"""The page on which people sign in."""

import html
from typing import Any

from starlette.datastructures import Headers

from app.bare_page import bare_page
from app.words import ENGLISH, Words, best_language, words


def login_page(problem: str = "", *, has_sign_on: bool = False, tr: Words | None = None) -> str:
    """Return the page on which people sign in.

    Args:
        problem: What went wrong before, in the reader's language.
        has_sign_on: The hospital's own sign-on is offered too.
        tr: The words of the browser's language; None: English.
    """
    tr = tr or words(ENGLISH)
    alert = f'<div role="alert">{html.escape(problem)}</div>' if problem else ""
    other = tr("Sign in with the hospital's account")
    values: dict[str, Any] = {
        "alert": alert,
        "other": f'<a class="button" href="/sign-on">{html.escape(other)}</a>' if has_sign_on else "",
        "labelling": html.escape(tr("Labelling of cervical cytology")), "name": html.escape(tr("Name")),
        "password": html.escape(tr("Password")), "sign_in": html.escape(tr("Sign in")),
        "limits": html.escape(tr("Research use only. Not a medical device.")),
    }  # fmt: skip
    return bare_page(_CONTENT.format(**values), tr)


def words_of_browser(headers: Headers) -> Words:
    """Return the words of the language that a browser asks for: nobody has signed in yet."""
    return words(best_language(headers.get("accept-language", "")))


_CONTENT = """<p>{labelling}</p>
<form method="post" action="/login"><label>{name}
<input name="name" autocomplete="username" autofocus required></label><label>{password}
<input name="password" type="password" autocomplete="current-password" required></label>{alert}
<button>{sign_in}</button></form>{other}
<footer>{limits}</footer>"""
