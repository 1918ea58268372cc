"""Where doctors differ, side by side, and the verdict."""

import streamlit as st

from app.components.review import review
from app.views import people

person, services = people.require(), people.services()
if not person.may("adjudicate"):
    st.error("Only adjudicators and admins see this page: it shows what others answered.")
    st.stop()
review(services.label_set, account=person.name, csrf_token=person.csrf_token)
