"""The map: every cell a point, drawn on a canvas; a lasso opens its cells as a gallery."""

from streamlit.components.v2 import component

from app.components.answers import Reader
from app.components.source import joined
from app.pictures import MOST_TILES

SCRIPTS = ("shared/base.js", "map/geometry.js", "map/tools.js", "map/map.js")
_map = component(
    "cell_map",
    html='<div class="map" tabindex="-1"></div>',
    css=joined("shared/base.css", "map/map.css"),
    js=joined(*SCRIPTS),
)


def cell_map(reader: Reader, *, shows_suggestions: bool, shows_doctors: bool) -> None:
    """Draw the map.

    Args:
        reader: Who looks at it.
        shows_doctors: True for whoever may see who answered what.
        shows_suggestions: False in a study that hides them until the answer.
    """
    ways = ["label", "slide", *(["suggestion", "certainty"] if shows_suggestions else [])]
    ways += ["doctor"] if shows_doctors else []
    data = {
        "account": reader.account, "csrf": reader.csrf_token, "ways": ways, "most": MOST_TILES,
        "words": reader.words.of_script(*SCRIPTS), "language": reader.words.language,
    }  # fmt: skip
    _map(key="cell_map", data=data)
