"""The labelling surface: one cell, one key, one saved label.

It talks to `/api/` by itself: a label through a Streamlit rerun would cost twenty times as much and
could be lost or land on the wrong cell.
"""

from dataclasses import asdict
from pathlib import Path

from streamlit.components.v2 import component

from datasets.bethesda import LabelSet

_FOLDER = Path(__file__).parent
_deck = component(
    "label_deck",
    html='<div class="deck" tabindex="-1"></div>',
    css=(_FOLDER / "deck.css").read_text(),
    js=(_FOLDER / "deck.js").read_text(),
)


def label_deck(label_set: LabelSet, *, account: str, csrf_token: str, mode: str) -> None:
    """Draw the surface.

    Args:
        label_set: The answers, with their keys and colours.
        account: Whose labels; unsent ones are kept in the browser under this name.
        csrf_token: Sent with every label.
        mode: "after", "shown" or "hidden".
    """
    categories = [asdict(category) for category in label_set.categories]
    data = {"categories": categories, "account": account, "csrf": csrf_token, "mode": mode}
    _deck(key="label_deck", data=data)
