"""The labelling surface: one cell, one key, one saved label.

It talks to `/api/v1` by itself: a label through a Streamlit rerun would cost twenty times as much and
could be lost or land on the wrong cell.
"""

from streamlit.components.v2 import component

from app.components.answers import Reader, component_data
from app.components.source import joined
from app.keys import LABEL
from app.pictures import WIDE_FACTOR
from datasets.bethesda import LabelSet
from datasets.criteria import REFERENCE_NUCLEUS_UM2

SCRIPTS = (
    "shared/base.js", "shared/disk.js", "shared/outbox.js",
    "shared/view.js", "label_deck/panel.js", "label_deck/tour_offer.js",
    "label_deck/sheets.js", "label_deck/which.js", "label_deck/supply.js", "label_deck/focus.js",
    "label_deck/face.js", "label_deck/history.js", "label_deck/deck.js",
)  # fmt: skip
_deck = component(
    "label_deck",
    html='<div class="deck" tabindex="-1"></div>',
    css=joined("shared/base.css", "shared/view.css", "label_deck/deck.css"),
    js=joined(*SCRIPTS),
)


def label_deck(label_set: LabelSet, reader: Reader, *, mode: str) -> None:
    """Draw the surface.

    Args:
        label_set: The answers, with their keys and colours.
        reader: Whose labels.
        mode: "after", "shown" or "hidden".
    """
    data = {
        **component_data(label_set, reader, LABEL, SCRIPTS), "mode": mode,
        "reference_um2": REFERENCE_NUCLEUS_UM2, "wide_factor": WIDE_FACTOR,
    }  # fmt: skip
    _deck(key="label_deck", data=data)
