"""The page on which people sign in."""

import html
from typing import Any

from app.theme import LOGIN_STYLE


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
