"""The labelling page."""

import streamlit as st

from app.components.label_deck import label_deck
from app.views import people
from datasets import catalog

people.require("label")
services, tr = people.services(), people.wording()
counts = catalog.counts(services.database)
if counts.cells_without_scale:
    st.warning(
        tr(
            "{n} of {cells} cells come from pictures without a known scale: their sizes on screen cannot be compared.",
            n=counts.cells_without_scale,
            cells=counts.cells,
        )
    )
label_deck(services.label_set, people.reader(), mode=services.settings.suggestions)
