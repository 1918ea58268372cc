"""The labelling page."""

import streamlit as st

from app.components.label_deck import label_deck
from app.views import people
from datasets import catalog

person, services = people.require("label"), people.services()
counts = catalog.counts(services.database)
if counts.cells_without_scale:
    st.warning(
        f"{counts.cells_without_scale} of {counts.cells} cells come from pictures without a known "
        "scale: their sizes on screen cannot be compared."
    )
label_deck(
    services.label_set,
    account=person.name,
    csrf_token=person.csrf_token,
    mode=services.settings.suggestions,
)
