"""Who is looking: re-read from the database on every run of a page."""

import streamlit as st

from app.services import Services
from app.settings import home_of_process
from app.sign_in import COOKIE
from labeling import accounts
from labeling.accounts import SignedIn


@st.cache_resource
def services() -> Services:
    """Return the open workspace, one for all pages of this process."""
    return Services.open(home_of_process())


def signed_in() -> SignedIn | None:
    """Return whose browser this is, None when the sign-in has ended."""
    token = st.context.cookies.get(COOKIE)
    return accounts.check_sign_in(services().database, token) if token else None


def require() -> SignedIn:
    """Return whose browser this is; end the page when the sign-in has ended."""
    person = signed_in()
    if person is None:
        st.error("Signed out. Open /login and sign in again.")
        st.stop()
    return person
