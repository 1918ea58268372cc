"""The first three minutes: each key once, on drawn cells. It sends nothing; the study never hears of it."""

import base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from streamlit.components.v2 import component

from app.components.answers import Reader, answer_rows
from app.components.source import joined
from app.pictures import WIDE_FACTOR
from app.words import Words
from datasets.bethesda import BETHESDA
from datasets.criteria import REFERENCE_NUCLEUS_UM2
from datasets.crops import Picture, cut_crop, encode_png
from datasets.synthetic import DrawnSlide, draw_study

_SEED = 41
_WANTED = ("NILM", "LSIL", "HSIL", "ASC-US", "SCC")
_SIDE_UM, _SIDE_PX = 64.0, 256

_SCRIPTS = ("shared/base.js", "shared/view.js", "tour/steps.js", "tour/tour.js")
_tour = component(
    "tour",
    html='<div class="tour" tabindex="-1"></div>',
    css=joined("shared/base.css", "shared/view.css", "tour/tour.css"),
    js=joined(*_SCRIPTS),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TourCell:
    """A drawn cell: its class, and its pictures as addresses that hold the whole PNG."""

    category: str
    image: str
    wide: str
    mpp: float


@lru_cache(maxsize=1)
def tour_cells() -> tuple[TourCell, ...]:
    """Draw one cell of each class that the tour shows; the same every time."""
    slides = list(draw_study(_SEED, 4))
    return tuple(_cell(slides, category) for category in _WANTED)


def _cell(slides: list[DrawnSlide], category: str) -> TourCell:
    def is_inside(slide: DrawnSlide, x: float, y: float) -> bool:
        margin = _SIDE_UM / slide.mpp / 2
        height, width = slide.image.shape[:2]
        return margin < x < width - margin and margin < y < height - margin

    slide, cell = next((s, c) for s in slides for c in s.cells if c.category == category and is_inside(s, c.x, c.y))

    def cut(side_um: float) -> Picture:
        return cut_crop(slide.image, cell.x, cell.y, mpp=slide.mpp, side_um=side_um, side_px=_SIDE_PX)

    return TourCell(
        category=category, image=_address(cut(_SIDE_UM)), wide=_address(cut(_SIDE_UM * WIDE_FACTOR)),
        mpp=_SIDE_UM / _SIDE_PX,
    )  # fmt: skip


def _address(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(picture)).decode()


def tour(words: Words) -> None:
    """Draw the tour. Its answers are those of the Bethesda set, whatever the study asks.

    Args:
        words: Of the reader. The tour names the keys as they were made, and so they are on it.
    """
    cells: list[dict[str, Any]] = [
        {"cell": f"drawn-{number}", "category": c.category, "image": c.image, "wide": c.wide, "mpp": c.mpp}
        for number, c in enumerate(tour_cells())
    ]
    _tour(key="tour", data={
        "categories": answer_rows(BETHESDA, Reader(account="", csrf_token="", words=words, keys={})),
        "words": words.of_script(*_SCRIPTS), "language": words.language, "cells": cells,
        "reference_um2": REFERENCE_NUCLEUS_UM2,
        "wide_factor": WIDE_FACTOR,
    })  # fmt: skip
