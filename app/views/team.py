"""Accounts, for admins."""

import streamlit as st

from app.views import people
from app.words import word
from labeling import accounts, tokens
from labeling.errors import AccountError

_DUTIES = {
    "annotator": word("decides cells"),
    "adjudicator": word("decides cells, and where doctors differ"),
    "data-manager": word("sees pictures and runs, decides no cells"),
    "admin": word("all of it, and makes and disables accounts"),
    "auditor": word("sees progress and the chain of events, no cells"),
}
_STATES = {"active": word("active"), "expired": word("expired"), "revoked": word("revoked")}

person, services, tr = people.require("people"), people.services(), people.wording()
st.header(tr("Team"))
st.dataframe(
    [
        {tr("name"): a.name, tr("role"): a.role, tr("state"): tr("disabled") if a.disabled_at else tr("active")}
        for a in accounts.list_accounts(services.database)
    ],
    hide_index=True,
)
left, right = st.columns(2, gap="large")
with left, st.form("add", clear_on_submit=True):
    st.subheader(tr("New account"))
    name = st.text_input(tr("Name"))
    role = st.selectbox(tr("Role"), accounts.ROLES, format_func=lambda r: f"{r}: {tr(_DUTIES[r])}")
    password = st.text_input(tr("First password, to be handed over in person"), type="password")
    if st.form_submit_button(tr("Add")):
        try:
            accounts.add_account(services.database, name, role, password, by=person.name)
            st.success(tr("{name} can sign in now.", name=name))
        except AccountError as error:
            st.error(str(error))
active = [a.name for a in accounts.list_accounts(services.database) if not a.disabled_at]
others = [n for n in active if n != person.name]
with right, st.form("disable"):
    st.subheader(tr("Disable an account"))
    chosen = st.selectbox(tr("Name"), others)
    st.caption(tr("The labels stay. The person is signed out at the next action."))
    if st.form_submit_button(tr("Disable")) and chosen:
        accounts.disable(services.database, chosen, by=person.name)
        st.rerun()
away = [a.name for a in accounts.list_accounts(services.database) if a.disabled_at]
if away:
    with right, st.form("enable"):
        st.subheader(tr("Enable an account"))
        back = st.selectbox(tr("Name"), away)
        st.caption(tr("Also for people who have come by the hospital's sign-on and wait."))
        if st.form_submit_button(tr("Enable")):
            accounts.enable(services.database, back, by=person.name)
            st.rerun()

st.subheader(tr("Programs"))
st.caption(tr("Another program acts as an account, with that account's role, through /api/v1."))
rows = tokens.list_tokens(services.database)
if rows:
    st.dataframe(
        [
            {tr("number"): t.id, tr("account"): t.account, tr("program"): t.purpose,
             tr("state"): tr(_STATES[tokens.state_of(t)]), tr("made by"): t.created_by, tr("ends"): t.expires_at,
             tr("last request"): t.seen_at}
            for t in rows
        ],
        hide_index=True,
    )  # fmt: skip
left, right = st.columns(2, gap="large")
with left, st.form("token", clear_on_submit=True):
    account = st.selectbox(tr("Account"), active)
    purpose = st.text_input(tr("Which program it is for"))
    days = st.number_input(tr("Days until it ends"), 1, tokens.MOST_DAYS, tokens.DEFAULT_DAYS)
    if st.form_submit_button(tr("Make a token")) and account:
        try:
            made = tokens.create(services.database, account, purpose.strip(), days=int(days), by=person.name)
        except AccountError as error:
            st.error(str(error))
        else:
            st.success(
                tr("Token {number} for {account}. It is shown only now: hand it over and close this page.",
                   number=made.id, account=account)
            )  # fmt: skip
            st.code(made.secret, language=None)
live = [t.id for t in rows if tokens.state_of(t) == "active"]
if live:
    with right, st.form("revoke"):
        number = st.selectbox(tr("Token number"), live)
        st.caption(tr("The program is shut out at its next request."))
        if st.form_submit_button(tr("Revoke")):
            tokens.revoke(services.database, number, by=person.name)
            st.rerun()
st.caption(tr("Research use only. Not a medical device."))
