"""What is shown without Streamlit: the door, and addresses where there is no page."""

from app.theme import ICON, LOGIN_STYLE
from app.words import Words


def bare_page(content: str, tr: Words) -> str:
    """Return a page of its own.

    Args:
        content: HTML, without what a reader could have written in it.
        tr: The words that it was said in.
    """
    return _PAGE.format(language=tr.language, icon=ICON, style=LOGIN_STYLE, content=content)


_PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>CytoJEPA</title>
<link rel="icon" href="{icon}">
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><main><h1>CytoJEPA</h1>{content}</main></body></html>"""
