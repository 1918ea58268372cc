"""The review: one cell about which doctors differ, their answers beside it, and a key for the verdict."""

from streamlit.components.v2 import component

from app.components.answers import Reader, component_data
from app.components.source import joined
from app.keys import REVIEW
from app.pictures import WIDE_FACTOR
from datasets.bethesda import LabelSet
from datasets.criteria import REFERENCE_NUCLEUS_UM2

SCRIPTS = (
    "shared/base.js",
    "shared/disk.js",
    "shared/outbox.js",
    "shared/view.js",
    "label_deck/tour_offer.js",
    "label_deck/sheets.js",
    "review/review.js",
)
_review = component(
    "review",
    html='<div class="review" tabindex="-1"></div>',
    css=joined("shared/base.css", "shared/view.css", "review/review.css"),
    js=joined(*SCRIPTS),
)


def review(label_set: LabelSet, reader: Reader, *, reads: int) -> None:
    """Draw the review.

    Args:
        label_set: The answers, with their keys and colours.
        reader: Who decides.
        reads: How many doctors the study asks about each cell.
    """
    data = {
        **component_data(label_set, reader, REVIEW, SCRIPTS), "reads": reads,
        "reference_um2": REFERENCE_NUCLEUS_UM2, "wide_factor": WIDE_FACTOR,
    }  # fmt: skip
    _review(key="review", data=data)
