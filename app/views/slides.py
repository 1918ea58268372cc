"""The study's slides with their pictures: what each is like, which stand out, which cells look the same."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from app.services import Services
from app.slide_quality import QUALITY_FILE
from app.views import people
from datasets import catalog
from datasets.crops import Picture, read_own_png, shrink
from datasets.errors import UnreadableFile
from datasets.pictures import open_picture
from datasets.sandbox import Decoder

_PER_PAGE = 12
_THUMBNAIL_PX = 320
_PAIRS = 24

people.require("pictures")
services = people.services()


@st.cache_data(max_entries=500, show_spinner=False)
def thumbnail(slide_id: str) -> Picture | str:
    """Return a slide's small picture, or why there is none. Keyed by the slide's code alone."""
    slide = next(s for s in catalog.slides_with_pictures(services.database) if s.id == slide_id)
    try:
        with Decoder() as decoder:
            return shrink(open_picture(services.database, services.home, slide, decoder).overview(), _THUMBNAIL_PX)
    except UnreadableFile as error:
        return error.reason


def load_report(opened: Services) -> dict[str, Any] | None:
    """Read what the last `cytojepa quality` found."""
    path = opened.home / QUALITY_FILE
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def show_slides(report: dict[str, Any] | None) -> None:
    """Draw slides with their pictures, those that stand out first."""
    odd: dict[str, list[str]] = {}
    for row in report["odd_slides"] if report else []:
        odd.setdefault(row["slide"], []).append(f"{row['measure']} {row['deviations']:+.1f}")
    slides = sorted(catalog.slides_with_pictures(services.database), key=lambda s: (s.id not in odd, s.id))
    searches = catalog.searches(services.database)
    pages = max(1, -(-len(slides) // _PER_PAGE))
    page = int(st.number_input(f"Page of {pages}", 1, pages, 1)) if pages > 1 else 1
    for start in range((page - 1) * _PER_PAGE, min(page * _PER_PAGE, len(slides)), 4):
        for column, slide in zip(st.columns(4), slides[start : start + 4], strict=False):
            scale = "scale unknown" if slide.mpp is None else f"{slide.mpp:.3f} \u00b5m/px ({slide.mpp_source})"
            search = searches.get(slide.id)
            found = "" if search is None else f", {search.cells} nuclei found"
            facts = f"{slide.id}: {slide.width_px} x {slide.height_px}, {scale}{found}"
            picture = thumbnail(slide.id)
            if isinstance(picture, str):
                column.warning(f"{facts}. {picture}")
            else:
                column.image(picture, caption=facts, alt=facts)
            if slide.id in odd:
                column.caption("Unlike the rest: " + ", ".join(odd[slide.id]))


def show_pairs(report: dict[str, Any]) -> None:
    """Draw the pairs of cells whose pictures are nearly the same."""
    pairs = report["same"]
    st.subheader(f"Cells that look the same ({len(pairs)} pairs)")
    if not pairs:
        st.caption("None. The same cell photographed twice would put contradictory labels into the study.")
    known = catalog.crop_scales(services.database, [pair[side] for pair in pairs for side in ("first", "second")])
    for pair in pairs[:_PAIRS]:
        if pair["first"] in known and pair["second"] in known:
            columns = st.columns([1, 1, 4])
            for column, side in zip(columns, ("first", "second"), strict=False):
                column.image(
                    read_own_png(catalog.crop_path(services.home, pair[side])),
                    caption=pair[side],
                    alt=f"cell {pair[side]}",
                )
            columns[2].caption(f"by {pair['found_by']}: {pair['likeness']:.3f}")


st.title("Slides")
latest = load_report(services)
if latest is None:
    st.info("Run `cytojepa quality` to measure focus, exposure and stain, and to find cells that look the same.")
show_slides(latest)
if latest is not None:
    st.subheader("Measures")
    st.dataframe(pd.DataFrame(latest["slides"]), hide_index=True)
    st.caption(
        "Foreground: share that is stained. Focus: share of detail that a small blur takes away; low is soft. "
        "Red, green, blue: mean optical density of what is stained. Numbers to look closer by, no verdicts."
    )
    show_pairs(latest)
st.caption("Research use only. Not a medical device.")
