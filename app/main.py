"""The pages. Streamlit runs this file for every signed-in browser and on every change."""

import html

import streamlit as st

from app.views import people
from labeling.accounts import Right

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

_PAGES: tuple[tuple[Right, str, str], ...] = (
    ("label", "label", "Label"),
    ("label", "gallery", "Gallery"),
    ("label", "cell_map", "Map"),
    ("pictures", "slide", "Slide"),
    ("adjudicate", "review", "Review"),
    ("pictures", "slides", "Slides"),
    ("progress", "progress", "Progress"),
    ("runs", "runs", "Runs"),
    ("runs", "jobs", "Jobs"),
    ("audit", "audit", "Audit"),
    ("people", "team", "Team"),
)
allowed = [(name, title) for right, name, title in _PAGES if person.may(right)]
if not allowed:
    st.error(f"The role {person.role} sees no page. An admin can change the role.")
    st.stop()
pages = [
    st.Page(f"views/{name}.py", title=title, url_path=title.lower(), default=i == 0)
    for i, (name, title) in enumerate(allowed)
]
st.html(
    "<style>.stElementContainer:has(.who){position:absolute;height:0}.who{position:fixed;top:.95rem;"
    "right:1.7rem;z-index:999995;font-size:.92rem}</style>"
    f'<div class="who">{html.escape(person.name)} &nbsp;'
    '<a style="color:inherit" href="/logout" target="_self">Sign out</a></div>'
)
if person.may("label"):
    pages.append(st.Page("views/tour.py", title="Tour", url_path="tour", visibility="hidden"))
page = st.navigation(pages, position="top")
page.run()
