"""All cells by likeness, and whether that is likeness of cells or of slides."""

import streamlit as st

from app.components.map import cell_map
from app.slide_gap import SlideGap, read_gap
from app.views import people, pieces

person, services, tr = people.require("label"), people.services(), people.wording()


def show_gap(gap: SlideGap) -> None:
    """Draw the two figures that tell cell from slide."""
    st.subheader(tr("Does the encoder see the cell or the slide?"))
    values = [
        (f"{100 * gap.own_slide:.0f} %", tr("of the nearest neighbours are of the same slide")),
        (f"{100 * gap.by_chance:.0f} %", tr("would be by chance")),
    ]
    if gap.unknown_slides is not None and gap.known_slides is not None:
        values += [
            (f"{gap.unknown_slides:.2f}", tr("balanced accuracy on slides that the probe has not seen")),
            (f"{gap.known_slides:.2f}", tr("on other cells of slides that it has seen")),
        ]
    pieces.figures(values)
    st.caption(
        tr("Colour by slide to see it: slides that lie apart are seen as slides. The first two figures compare {cells} "
           "cells drawn by chance; the others rest on {labels} labelled cells and appear once each answer is known of "
           "two slides. What the last figure has beyond the one before it is read from the slide, its stain and its "
           "scanner, and is lost on a new slide.", cells=gap.cells, labels=gap.labels)
    )  # fmt: skip


cell_map(
    people.reader(),
    shows_suggestions=services.settings.suggestions == "shown",
    shows_doctors=person.may("adjudicate"),
)
store = services.store()
found = read_gap(services.home, store.fingerprint) if store is not None else None
if found is not None:
    show_gap(found)
