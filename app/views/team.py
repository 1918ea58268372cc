"""Accounts, for admins."""

import streamlit as st

from app.views import people
from labeling import accounts, tokens
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
if away:
    with right, st.form("enable"):
        st.subheader("Enable an account")
        back = st.selectbox("Name", away)
        st.caption("Also for people who have come by the hospital's sign-on and wait.")
        if st.form_submit_button("Enable"):
            accounts.enable(services.database, back, by=person.name)
            st.rerun()

st.subheader("Programs", help="Another program acts as an account, with that account's role, through /api/v1.")
rows = tokens.list_tokens(services.database)
if rows:
    st.dataframe(
        [
            {"number": t.id, "account": t.account, "program": t.purpose, "state": tokens.state_of(t),
             "made by": t.created_by, "ends": t.expires_at, "last request": t.seen_at}
            for t in rows
        ],
        hide_index=True,
    )  # fmt: skip
left, right = st.columns(2, gap="large")
with left, st.form("token", clear_on_submit=True):
    account = st.selectbox("Account", active)
    purpose = st.text_input("Which program it is for")
    days = st.number_input("Days until it ends", 1, tokens.MOST_DAYS, tokens.DEFAULT_DAYS)
    if st.form_submit_button("Make a token") and account:
        try:
            made = tokens.create(services.database, account, purpose.strip(), days=int(days), by=person.name)
        except AccountError as error:
            st.error(str(error))
        else:
            st.success(f"Token {made.id} for {account}. It is shown only now: hand it over and close this page.")
            st.code(made.secret, language=None)
live = [t.id for t in rows if tokens.state_of(t) == "active"]
if live:
    with right, st.form("revoke"):
        number = st.selectbox("Token number", live)
        st.caption("The program is shut out at its next request.")
        if st.form_submit_button("Revoke"):
            tokens.revoke(services.database, number, by=person.name)
            st.rerun()
