"""The labelling surface: one cell, one key, one saved label.

It talks to `/api/v1` by itself: a label through a Streamlit rerun would cost twenty times as much and
could be lost or land on the wrong cell.
"""

from streamlit.components.v2 import component

from app.components.answers import answer_rows
from app.components.source import joined
from app.pictures import WIDE_FACTOR
from datasets.bethesda import LabelSet
from datasets.criteria import REFERENCE_NUCLEUS_UM2

_deck = component(
    "label_deck",
    html='<div class="deck" tabindex="-1"></div>',
    css=joined("shared/base.css", "shared/view.css", "label_deck/deck.css"),
    js=joined(
        "shared/base.js", "shared/outbox.js", "shared/view.js", "label_deck/commands.js", "label_deck/panel.js",
        "label_deck/tour_offer.js", "label_deck/sheets.js", "label_deck/focus.js", "label_deck/face.js",
        "label_deck/history.js", "label_deck/deck.js",
    ),
)  # fmt: skip


def label_deck(label_set: LabelSet, *, account: str, csrf_token: str, mode: str) -> None:
    """Draw the surface.

    Args:
        label_set: The answers, with their keys and colours.
        account: Whose labels; unsent ones are kept in the browser under this name.
        csrf_token: Sent with every label.
        mode: "after", "shown" or "hidden".
    """
    data = {
        "categories": answer_rows(label_set), "account": account, "csrf": csrf_token, "mode": mode,
        "reference_um2": REFERENCE_NUCLEUS_UM2, "wide_factor": WIDE_FACTOR,
    }  # fmt: skip
    _deck(key="label_deck", data=data)
