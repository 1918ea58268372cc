"""The study's slides with their pictures and what is known of each."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.views import people, pieces
from app.views.pieces import Card
from app.words import Words
from datasets import catalog, places
from datasets.catalog import Search, Slide
from datasets.notices import noticed

_PER_PAGE = 24


def facts(slide: Slide, cells: int, search: Search | None, tr: Words) -> tuple[str, ...]:
    """Return what is known of a slide, a line each."""
    scale = tr("scale unknown")
    if slide.mpp is not None:
        scale = tr("{mpp:.3f} \u00b5m/px ({source})", mpp=slide.mpp, source=scale_source(slide.mpp_source, tr))
    counted = tr("{n} cells", n=cells)
    if search is not None:
        counted += tr(", {n} of them nuclei found by the program", n=search.cells)
    return (tr("{width} x {height} px", width=slide.width_px, height=slide.height_px), scale, counted)


def notes(info: Mapping[str, Any] | None, search: Search | None, tr: Words) -> list[str]:
    """Return what was noticed when a scan was read and searched, in the reader's language; of a field nothing."""
    told = [tr.of(noticed(note)) for note in (info or {}).get("notes", ())]
    odd = (info or {}).get(catalog.ODD_TILES, {}) if search else {}
    return told + [tr(pattern, n=n, tiles=search.tiles) for pattern, n in odd.items() if search]


def scale_source(source: str, tr: Words) -> str:
    """Return where a scale is known from."""
    if source.startswith("published: "):
        return tr("published for {name}", name=source.removeprefix("published: "))
    return tr("told by the file") if source == "file" else tr("given at the import")


person, services, tr = people.require("pictures"), people.services(), people.wording()
st.header(tr("Slides"))
slides = sorted(catalog.slides_with_pictures(services.database), key=lambda slide: slide.id)
if not slides:
    pieces.empty(
        tr("This study has no slides yet."),
        tr("Single-cell pictures have no place on a slide. An administrator adds scans or fields with cytojepa ingest; "
           "then they appear here."),
    )  # fmt: skip
else:
    shown = pieces.page_of(slides, _PER_PAGE, tr, key="slides-page")
    codes = [slide.id for slide in shown]
    counts, searches = places.cell_counts(services.database, codes), catalog.searches(services.database)
    infos = places.scan_infos(services.database, codes)
    pieces.cards(
        [
            Card(
                pictures=((f"/api/slides/{slide.id}/small", tr("Slide {slide}", slide=slide.id)),),
                title=slide.id,
                lines=(*((fact, ()) for fact in facts(slide, counts.get(slide.id, 0), searches.get(slide.id), tr)),
                       *((note, ()) for note in notes(infos.get(slide.id), searches.get(slide.id), tr)),
                       ("", ((f"/slide?slide={slide.id}", tr("open")),))),
            )
            for slide in shown
        ],
        width_rem=13, shape="4/3",
    )  # fmt: skip
    if person.may("quality"):
        st.page_link("views/quality.py", label=tr("What stands out among them: page Quality"))
st.caption(tr("Research use only. Not a medical device."))
