"""The pages. Streamlit runs this file for every signed-in browser and on every change."""

import html

import streamlit as st

from app.views import people

st.set_page_config(page_title="CytoJEPA", layout="wide", initial_sidebar_state="collapsed")
st.html(
    "<style>.stMainBlockContainer{padding:3.75rem 1.6rem .4rem;max-width:none}"
    "[data-testid=stHeader]{background:transparent}"
    "[data-testid=stCaptionContainer],[data-testid=stCaptionContainer] p{color:inherit}"
    "[data-testid=stCaptionContainer]{opacity:.82}</style>"
)

person = people.signed_in()
if person is None:
    st.error("Signed out. Open /login and sign in again.")
    st.stop()

pages = [
    st.Page("views/label.py", title="Label", default=True),
    st.Page("views/gallery.py", title="Gallery", url_path="gallery"),
    st.Page("views/progress.py", title="Progress"),
]
if person.role in people.ADJUDICATORS:
    pages.insert(2, st.Page("views/review.py", title="Review", url_path="review"))
if person.role == "admin":
    pages.append(st.Page("views/runs.py", title="Runs"))
    pages.append(st.Page("views/team.py", title="Team"))
st.html(
    "<style>.stElementContainer:has(.who){position:absolute;height:0}.who{position:fixed;top:.95rem;"
    "right:1.7rem;z-index:999995;font-size:.92rem}</style>"
    f'<div class="who">{html.escape(person.name)} &nbsp;'
    '<a style="color:inherit" href="/logout" target="_self">Sign out</a></div>'
)
page = st.navigation(pages, position="top")
page.run()
