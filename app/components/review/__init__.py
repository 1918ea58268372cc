"""The review: one cell about which doctors differ, their answers beside it, and a key for the verdict."""

from streamlit.components.v2 import component

from app.components.answers import answer_rows
from app.components.source import joined
from app.pictures import WIDE_FACTOR
from datasets.bethesda import LabelSet
from datasets.criteria import REFERENCE_NUCLEUS_UM2

_review = component(
    "review",
    html='<div class="review" tabindex="-1"></div>',
    css=joined("shared/base.css", "shared/view.css", "review/review.css"),
    js=joined("shared/base.js", "shared/outbox.js", "shared/view.js", "review/review.js"),
)


def review(label_set: LabelSet, *, account: str, csrf_token: str) -> None:
    """Draw the review.

    Args:
        label_set: The answers, with their keys and colours.
        account: Who decides; verdicts that are not yet saved are kept in the browser under this name.
        csrf_token: Sent with every verdict.
    """
    data = {
        "categories": answer_rows(label_set), "account": account, "csrf": csrf_token,
        "reference_um2": REFERENCE_NUCLEUS_UM2, "wide_factor": WIDE_FACTOR,
    }  # fmt: skip
    _review(key="review", data=data)
