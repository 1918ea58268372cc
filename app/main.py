"""The pages. Streamlit runs this file for every signed-in browser and on every change."""

import streamlit as st

from app.views import people

st.set_page_config(page_title="CytoJEPA", layout="wide", initial_sidebar_state="collapsed")
st.html(
    "<style>.stMainBlockContainer{padding:4rem 1.6rem .4rem;max-width:none}"
    "[data-testid=stHeader]{background:transparent}</style>"
)

person = people.signed_in()
if person is None:
    st.error("Signed out. Open /login and sign in again.")
    st.stop()

pages = [
    st.Page("views/label.py", title="Label", default=True),
    st.Page("views/progress.py", title="Progress"),
]
if person.role == "admin":
    pages.append(st.Page("views/runs.py", title="Runs"))
    pages.append(st.Page("views/team.py", title="Team"))
page = st.navigation(pages, position="top")
page.run()
