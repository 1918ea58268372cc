"""The gallery: many cells at one scale, from one sprite atlas; chosen cells are answered in one step.

It uses the same routes, the same outbox and the same keys as focus mode.
"""

from streamlit.components.v2 import component

from app.components.answers import Reader, component_data
from app.components.source import joined
from app.keys import GALLERY
from app.pictures import ATLAS_COLUMNS
from datasets.bethesda import LabelSet

SCRIPTS = (
    "shared/base.js", "shared/disk.js", "shared/outbox.js", "label_deck/tour_offer.js", "label_deck/sheets.js",
    "gallery/face.js", "gallery/history.js", "gallery/gallery.js",
)  # fmt: skip
_gallery = component(
    "gallery",
    html='<div class="gallery"></div>',
    css=joined("shared/base.css", "gallery/gallery.css"),
    js=joined(*SCRIPTS),
)


def gallery(label_set: LabelSet, reader: Reader, *, mode: str, crop_px: int) -> None:
    """Draw the gallery.

    Args:
        label_set: The answers, with their keys and colours.
        reader: Whose labels.
        mode: "after", "shown" or "hidden": only "shown" lets pages be made by suggestion.
        crop_px: Side of a crop in pixels; with its scale it gives the scale bar.
    """
    data = {
        **component_data(label_set, reader, GALLERY, SCRIPTS), "mode": mode, "atlas_columns": ATLAS_COLUMNS,
        "crop_px": crop_px,
    }  # fmt: skip
    _gallery(key="gallery", data=data)
