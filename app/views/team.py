"""Accounts, for admins."""

import streamlit as st

from app.views import people
from labeling import accounts
from labeling.errors import AccountError

person, services = people.require(), people.services()
if not person.may("people"):
    st.error("Only an admin sees this page.")
    st.stop()
st.title("Team")
st.dataframe(
    [
        {"name": a.name, "role": a.role, "state": "disabled" if a.disabled_at else "active"}
        for a in accounts.list_accounts(services.database)
    ],
    hide_index=True,
)
with st.form("add", clear_on_submit=True):
    st.subheader("New account")
    name = st.text_input("Name")
    role = st.selectbox("Role", accounts.ROLES)
    password = st.text_input("First password, to be handed over in person", type="password")
    if st.form_submit_button("Add"):
        try:
            accounts.add_account(services.database, name, role, password, by=person.name)
            st.success(f"{name} can sign in now.")
        except AccountError as error:
            st.error(str(error))
active = [a.name for a in accounts.list_accounts(services.database) if not a.disabled_at]
others = [n for n in active if n != person.name]
with st.form("disable"):
    st.subheader("Disable an account")
    chosen = st.selectbox("Name", others)
    st.caption("The labels stay. The person is signed out at the next action.")
    if st.form_submit_button("Disable") and chosen:
        accounts.disable(services.database, chosen, by=person.name)
        st.rerun()
