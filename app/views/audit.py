"""The chain of events: who did what and when, and whether the past is as it was."""

import json

import streamlit as st
from sqlalchemy import select

from app.views import people
from labeling import audit
from labeling.records import Event
from labeling.verification import check_chain

person, services = people.require(), people.services()
if not person.may("audit"):
    st.error("Only admins and auditors see this page.")
    st.stop()
_SHOWN = 200

st.title("Audit")
head = audit.chain_head(services.database)
st.metric("Events", head.seq)
st.caption("The hash of the newest event stands for all of them: none can change without it. Write it down.")
st.code(head.hash, language=None)
if st.button("Check all events now"):
    report = check_chain(services.database)
    for problem in report.problems:
        st.error(problem)
    if not report.problems:
        st.success(f"{report.events} events, all as they were stored.")

st.subheader(f"The last {_SHOWN}")
with services.database.read() as session:
    rows = session.execute(select(Event.seq, Event.body).order_by(Event.seq.desc()).limit(_SHOWN)).all()
st.dataframe(
    [
        {"event": seq, "at (UTC)": body["at"][:19].replace("T", " "), "by": body["by"], "kind": body["kind"],
         "what": json.dumps(body.get("row") or body.get("facts"), ensure_ascii=False, sort_keys=True)}
        for seq, body in ((seq, json.loads(text)) for seq, text in rows)
    ],
    hide_index=True,
)  # fmt: skip
st.caption("Research use only. Not a medical device.")
