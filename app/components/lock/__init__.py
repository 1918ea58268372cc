"""The lock: a page whose sign-in has ended leads to the door, whatever it shows and however long nobody was there."""

from streamlit.components.v2 import component

from app.components.source import joined

_lock = component("lock", html="<span></span>", js=joined("lock/lock.js"))


def lock(csrf_token: str) -> None:
    """Watch the sign-in of this page; draws nothing.

    Args:
        csrf_token: Of the sign-in; another one tells that the page has been drawn for it.
    """
    _lock(key="lock", height=0, data={"sign_in": csrf_token}, on_again_change=lambda: None)
