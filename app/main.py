"""The pages. Streamlit runs this file for every signed-in browser and on every change."""

import html
import logging

import streamlit as st

from app.components.lock import lock
from app.page_rights import PAGES
from app.theme import ACCENT
from app.views import people

st.set_page_config(page_title="CytoJEPA", layout="wide", initial_sidebar_state="collapsed")
st.html(
    "<style>.stMainBlockContainer{padding:3.75rem 1.6rem .4rem;max-width:none}"
    # Room for the name and the way out: what does not fit goes into Streamlit's own menu of the rest.
    "[data-testid=stToolbar]{padding-right:12rem}"
    # Streamlit shows no focus on links and on the tools of its tables.
    f".stApp a:focus-visible,.stApp button:focus-visible{{outline:2.5px solid {ACCENT}!important;outline-offset:1px}}"
    "[data-testid=stCaptionContainer],[data-testid=stCaptionContainer] p{color:inherit}"
    "[data-testid=stCaptionContainer]{opacity:.82}</style>"
)

person, tr = people.signed_in(), people.wording()
if person is None:
    st.error(tr("Signed out. Open /login and sign in again."))
    st.stop()

allowed = [(name, title) for right, name, title in PAGES if right is None or person.may(right)]
if len(allowed) == 1:
    st.error(tr("The role {role} sees no page. An admin can change the role.", role=person.role))
    st.stop()
# Streamlit serves its first page at / alone: who does not label gets a page of links there.
start = [] if person.may("label") else [st.Page("views/start.py", title=tr("Start"), default=True)]
pages = [
    *start,
    *(
        st.Page(f"views/{name}.py", title=tr(title), url_path=title.lower(), default=i == 0 and not start)
        for i, (name, title) in enumerate(allowed)
    ),
]
st.html(
    "<style>.stElementContainer:has(.who),.st-key-lock{position:absolute;height:0}.who{position:fixed;top:1.08rem;"
    "right:1.7rem;max-width:11rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;z-index:999995;font-size:.92rem}</style>"
    f'<div class="who">{html.escape(person.name)} &nbsp;'
    f'<a style="color:inherit" href="/logout" target="_self">{html.escape(tr("Sign out"))}</a></div>'
)
if person.may("label"):
    pages.append(st.Page("views/tour.py", title="Tour", url_path="tour", visibility="hidden"))
page = st.navigation(pages, position="top")
lock(person.csrf_token)
try:
    page.run()
except Exception:  # whatever it is: Streamlit's own sentence is English and speaks of its makers' cloud
    logging.getLogger(__name__).exception("page /%s", page.url_path)
    st.error(
        tr("This page met a fault; nothing that was saved is lost. Reload it; if it stays, tell who runs the server.")
    )
