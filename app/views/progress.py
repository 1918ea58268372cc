"""How far the study is, and how good the suggestions are."""

import pandas as pd
import streamlit as st

from app.views import people
from labeling.export.rows import export_rows
from labeling.records import IMPORTED
from labeling.suggestions import newest_probe

people.require()
services = people.services()
st.title("Progress")

rows = pd.DataFrame(export_rows(services.database, services.label_set))
mine = rows[rows["is_current"] & (rows["annotator"] != IMPORTED)] if len(rows) else rows
if not len(mine):
    st.info("No label yet. Open the page Label and press a key for the first cell.")
    st.stop()

probe = newest_probe(services.database)
judged = mine[mine["suggestion"].notna()]
agree = (judged["suggestion"] == judged["category"]).mean() if len(judged) else None
accuracy = probe.metrics.get("balanced_accuracy") if probe else None
columns = st.columns(4)
columns[0].metric("Labels", len(mine))
columns[1].metric("Labelled cells", mine["cell"].nunique())
columns[2].metric(f"Suggestion agreed (n = {len(judged)})", "-" if agree is None else f"{100 * agree:.0f} %")
columns[3].metric("Balanced accuracy, new slides", "-" if accuracy is None else f"{accuracy:.2f}")
st.caption(
    "Agreement counts cells whose suggestion existed when they were handed out; the uncertain ones "
    "are asked first, so it understates the probe. Balanced accuracy is measured on labelled slides "
    "that the probe had not seen; a dash means that the labels are still too few to say."
)

st.subheader("Labels of each category")
table = mine.groupby(["category", "annotator"]).size().unstack(fill_value=0)
order = [i for i in services.label_set.ids if i in table.index]
st.bar_chart(table.loc[order], horizontal=True, x_label="labels")
st.caption("Each bar counts the current labels of a category; its colours are the annotators.")

st.subheader("Labels over time")
times = pd.to_datetime(mine["made_at"], utc=True)
st.line_chart(pd.Series(range(1, len(times) + 1), index=times.sort_values(), name="labels"))
st.caption("The line rises by one with every label; a steep part is fast work. Times are UTC.")

if probe:
    st.caption(
        f"Probe {probe.id[:12]} was fitted on {probe.num_labels} labelled cells of "
        f"{len(probe.classes)} classes, with encoder {probe.encoder_fingerprint}."
    )
st.caption("Research use only. Not a medical device.")
