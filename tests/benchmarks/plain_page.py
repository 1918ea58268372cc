"""The same work with plain widgets: what the labelling surface is compared with."""

import uuid

import streamlit as st

from app.views import people
from datasets import catalog
from labeling import leases
from labeling.labels import LabelEvent, record

person, services = people.require(), people.services()
if "waiting" not in st.session_state:
    items = leases.take(services.database, person.name, 400, reads=1, lease_seconds=3600)
    st.session_state.waiting = [item.cell_id for item in items]


def answer(category: str) -> None:
    """Store a label for the cell on screen and go to the next."""
    cell_id = st.session_state.waiting.pop(0)
    event = LabelEvent(key=str(uuid.uuid4()), cell_id=cell_id, category=category)
    record(services.database, person.name, [event], label_set=services.label_set)
    st.session_state.acknowledged = st.session_state.get("acknowledged", 0) + 1


cell = st.session_state.waiting[0]
st.image(str(catalog.crop_path(services.home, cell)), width=500)
done = st.session_state.get("acknowledged", 0)
st.html(f'<i class="plain" data-cell="{cell}" data-acknowledged="{done}">{cell}</i>')
for choice in services.label_set.categories:
    st.button(choice.name, shortcut=choice.key, on_click=answer, args=(choice.id,))
