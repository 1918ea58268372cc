"""Who is looking: re-read from the database on every run of a page."""

import streamlit as st

from app.components.answers import Reader
from app.page_rights import NOT_SEEN
from app.services import Services
from app.settings import home_of_process
from app.sign_in import COOKIE
from app.words import Words, reader_words
from labeling import accounts, preferences
from labeling.accounts import Right, SignedIn


@st.cache_resource
def services() -> Services:
    """Return the open workspace, one for all pages of this process."""
    return Services.open(home_of_process())


def signed_in() -> SignedIn | None:
    """Return whose browser this is, None when the sign-in has ended."""
    token = st.context.cookies.get(COOKIE)
    # The gate has noted whether somebody acts; a page that renews itself must not keep a lonely screen open.
    return accounts.check_sign_in(services().database, token, is_action=False) if token else None


def wording() -> Words:
    """Return the words of whose browser this is: the own language, else the browser's."""
    person = signed_in()
    spoken = st.context.headers.get("Accept-Language", "")
    return reader_words(services().database, person.name if person else None, spoken)


def reader() -> Reader:
    """Return who looks at this page, as the components need it."""
    person = require()
    keys = preferences.read(services().database, person.name).keys
    return Reader(account=person.name, csrf_token=person.csrf_token, words=wording(), keys=keys)


def require(right: Right | None = None) -> SignedIn:
    """Return whose browser this is; end the page when the sign-in has ended or the role may not see it."""
    person, tr = signed_in(), wording()
    if person is None:
        st.error(tr("Signed out. Open /login and sign in again."))
        st.stop()
    if right is not None and not person.may(right):
        st.error(tr(NOT_SEEN, role=person.role))
        st.stop()
    return person
