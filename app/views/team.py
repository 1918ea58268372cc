"""Accounts, for admins."""

import streamlit as st

from app.views import people
from labeling import accounts
from labeling.errors import AccountError

_DUTIES = {
    "annotator": "decides cells",
    "adjudicator": "decides cells, and where doctors differ",
    "data-manager": "sees pictures and runs, decides no cells",
    "admin": "all of it, and makes and disables accounts",
    "auditor": "sees progress and the chain of events, no cells",
}

person, services = people.require("people"), people.services()
st.header("Team")
st.dataframe(
    [
        {"name": a.name, "role": a.role, "state": "disabled" if a.disabled_at else "active"}
        for a in accounts.list_accounts(services.database)
    ],
    hide_index=True,
)
left, right = st.columns(2, gap="large")
with left, st.form("add", clear_on_submit=True):
    st.subheader("New account")
    name = st.text_input("Name")
    role = st.selectbox("Role", accounts.ROLES, format_func=lambda r: f"{r}: {_DUTIES.get(r, r)}")
    password = st.text_input("First password, to be handed over in person", type="password")
    if st.form_submit_button("Add"):
        try:
            accounts.add_account(services.database, name, role, password, by=person.name)
            st.success(f"{name} can sign in now.")
        except AccountError as error:
            st.error(str(error))
active = [a.name for a in accounts.list_accounts(services.database) if not a.disabled_at]
others = [n for n in active if n != person.name]
with right, st.form("disable"):
    st.subheader("Disable an account")
    chosen = st.selectbox("Name", others)
    st.caption("The labels stay. The person is signed out at the next action.")
    if st.form_submit_button("Disable") and chosen:
        accounts.disable(services.database, chosen, by=person.name)
        st.rerun()
away = [a.name for a in accounts.list_accounts(services.database) if a.disabled_at]
with right, st.form("enable"):
    st.subheader("Enable an account")
    back = st.selectbox("Name", away)
    st.caption("Also for people who have come by the hospital's sign-on and wait.")
    if st.form_submit_button("Enable") and back:
        accounts.enable(services.database, back, by=person.name)
        st.rerun()
