"""The gallery: many cells at one scale, from one sprite atlas; chosen cells are answered in one step.

It uses the same routes, the same outbox and the same keys as focus mode.
"""

from streamlit.components.v2 import component

from app.components.answers import answer_rows
from app.components.source import joined
from app.pictures import ATLAS_COLUMNS
from datasets.bethesda import LabelSet

_gallery = component(
    "gallery",
    html='<div class="gallery"></div>',
    css=joined("shared/base.css", "gallery/gallery.css"),
    js=joined(
        "shared/base.js",
        "shared/outbox.js",
        "gallery/commands.js",
        "gallery/face.js",
        "gallery/history.js",
        "gallery/gallery.js",
    ),
)


def gallery(label_set: LabelSet, *, account: str, csrf_token: str, crop_px: int) -> None:
    """Draw the gallery.

    Args:
        label_set: The answers, with their keys and colours.
        account: Whose labels; unsent ones are kept in the browser under this name.
        csrf_token: Sent with every label.
        crop_px: Side of a crop in pixels; with its scale it gives the scale bar.
    """
    data = {
        "categories": answer_rows(label_set), "account": account, "csrf": csrf_token,
        "atlas_columns": ATLAS_COLUMNS, "crop_px": crop_px,
    }  # fmt: skip
    _gallery(key="gallery", data=data)
