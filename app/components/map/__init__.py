"""The map: every cell a point, drawn on a canvas; a lasso opens its cells as a gallery."""

from streamlit.components.v2 import component

from app.components.source import joined
from app.pictures import MOST_TILES

_map = component(
    "cell_map",
    html='<div class="map" tabindex="-1"></div>',
    css=joined("shared/base.css", "map/map.css"),
    js=joined("shared/base.js", "map/map.js"),
)


def cell_map(*, csrf_token: str, shows_suggestions: bool) -> None:
    """Draw the map.

    Args:
        csrf_token: Sent when a selection is opened.
        shows_suggestions: False in a study that hides them until the answer.
    """
    ways = ["label", "slide", *(["suggestion", "certainty"] if shows_suggestions else [])]
    _map(key="cell_map", data={"csrf": csrf_token, "ways": ways, "most": MOST_TILES})
