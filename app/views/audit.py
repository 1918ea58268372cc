"""The chain of events: who did what and when, and whether the past is as it was."""

import json
from typing import Any

import streamlit as st
from sqlalchemy import select

from app.views import people, pieces
from labeling import audit
from labeling.records import Event
from labeling.verification import check_chain

_SHOWN = 200


def told(body: dict[str, Any]) -> str:
    """Return what an event tells, as one line."""
    return json.dumps(body.get("row") or body.get("facts"), ensure_ascii=False, sort_keys=True)


people.require("audit")
services, tr = people.services(), people.wording()
st.header(tr("Audit"))
head = audit.chain_head(services.database)
pieces.figures([(f"{head.seq:,}", tr("events"))])
st.caption(
    tr("The hash of the newest event stands for all of them: none can change without it. Write it down.")
)  # fmt: skip
st.code(head.hash, language=None)
if st.button(tr("Check all events now")):
    report = check_chain(services.database)
    for problem in report.problems:
        st.error(problem)
    if not report.problems:
        st.success(tr("{n} events, all as they were stored.", n=report.events))

st.subheader(tr("The last {n}", n=_SHOWN))
with services.database.read() as session:
    rows = session.execute(select(Event.seq, Event.body).order_by(Event.seq.desc()).limit(_SHOWN)).all()
st.dataframe(
    [
        {tr("event"): seq, tr("at (UTC)"): body["at"][:19].replace("T", " "), tr("by"): body["by"],
         tr("kind"): body["kind"], tr("what"): told(body)}
        for seq, body in ((seq, json.loads(text)) for seq, text in rows)
    ],
    hide_index=True,
)  # fmt: skip
st.caption(tr("Research use only. Not a medical device."))
