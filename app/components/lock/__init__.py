"""The lock: a page whose sign-in has ended leads to the door, whatever it shows and however long nobody was there."""

from streamlit.components.v2 import component

from app.components.source import joined

_lock = component("lock", html="<span></span>", js=joined("lock/lock.js"))


def lock() -> None:
    """Watch the sign-in of this page; draws nothing."""
    _lock(key="lock", height=0)
