"""The slide view: deep zoom over the study's own tiles, cells as rings that one key answers.

OpenSeadragon (BSD-3-Clause) lies beside this folder and is served by our own route: a browser keeps
it, where a component's source is sent with every visit.
"""

from streamlit.components.v2 import component

from app.api.cell_map import CERTAINTY_COLORS
from app.components.answers import Reader, component_data
from app.components.source import joined
from app.keys import SLIDE
from app.settings import SuggestionMode
from datasets.bethesda import LabelSet
from datasets.criteria import REFERENCE_NUCLEUS_UM2

VIEWER_VERSION = "6.1.1"
_VIEWER = f"/api/slides/viewer.js?version={VIEWER_VERSION}"

_FILES = ("claims", "cells", "marking", "opinion", "heat", "rings", "stage", "face", "history", "page")
SCRIPTS = (
    "shared/base.js", "shared/disk.js", "shared/outbox.js",
    "label_deck/panel.js", "label_deck/tour_offer.js", "label_deck/sheets.js",
    *(f"slide_view/{name}.js" for name in _FILES),
)  # fmt: skip
_view = component(
    "slide_view",
    html='<div class="slideview" tabindex="-1"></div>',
    css=joined("shared/base.css", "shared/view.css", "label_deck/deck.css", "slide_view/slide.css"),
    js=joined(*SCRIPTS),
)


def slide_view(label_set: LabelSet, reader: Reader, *, mode: SuggestionMode, may_label: bool) -> None:
    """Draw the view; which slide and cell is in the page's address.

    Args:
        label_set: The answers, with their keys and colours.
        reader: Whose labels.
        mode: When suggestions are seen.
        may_label: False for who may only look.
    """
    data = {
        **component_data(label_set, reader, SLIDE, SCRIPTS), "mode": mode,
        "may_label": may_label, "reference_um2": REFERENCE_NUCLEUS_UM2, "viewer": _VIEWER,
        "certainty_colors": CERTAINTY_COLORS,
    }  # fmt: skip
    _view(key="slide_view", data=data)
