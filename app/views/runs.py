"""Pretraining runs: is the encoder learning, and does it still tell pictures apart?"""

import altair as alt
import pandas as pd
import streamlit as st

from app.runs import MEASURES, STATES, Measure, Run, read_run, run_folders, summary
from app.theme import ACCENT
from app.views import people, pieces
from app.words import word
from jepa.runlog import COLLAPSE

_COLOURS = [ACCENT, "#b4682a", "#4f8a5b", "#8a5a9e"]
_COLUMNS = 4
_HEADS = {"run": word("run"), "state": word("state"), "steps": word("steps"), "objective": word("learns by")}
_REFRESH_SECONDS = 20


def _chart(measure: Measure, runs: list[Run]) -> None:
    st.markdown(f"**{tr(measure.title)}**")
    chance = runs[0].newest("knn_chance") if measure.name == "knn_balanced_accuracy" else None
    st.caption(
        tr(measure.sentence) + (tr(" Dashed: guessing, {chance:.2f}.", chance=chance) if chance is not None else "")
    )
    curves = pd.concat([run.curve(measure.name) for run in runs])
    if not len(curves):
        st.caption(tr("_Not measured yet._"))
        return
    names = [run.name for run in runs]
    legend = alt.Legend(title=None, orient="top") if len(runs) > 1 else None
    lines = alt.Chart(curves).mark_line(point=len(curves) < 40 * len(runs), strokeWidth=1.8).encode(
        x=alt.X("step:Q", title=tr("steps"), axis=alt.Axis(grid=False, tickCount=4, tickMinStep=1, format="d")),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4, format=".4~r")),
        color=alt.Color("run:N", scale=alt.Scale(domain=names, range=_COLOURS[: len(names)]), legend=legend),
        tooltip=["run:N", "step:Q", alt.Tooltip("value:Q", format=".4g")],
    )  # fmt: skip
    layers = [lines]
    if chance is not None:
        rule = alt.Chart(pd.DataFrame({"value": [chance]})).mark_rule(strokeDash=[4, 4], color="#8a8f9c")
        layers.append(rule.encode(y="value:Q"))
    st.altair_chart(alt.layer(*layers).properties(height=170))


def _say_health(run: Run) -> None:
    warning = run.standing_warning
    if warning and warning.startswith(COLLAPSE):
        st.error(tr("{run}, step {step}: {warning}", run=run.name, step=run.step, warning=warning),
                 icon=":material/warning:")  # fmt: skip
    elif warning:
        st.warning(tr("{run}: no sign of collapse at the newest look, but {warning}", run=run.name, warning=warning))
    elif run.collapses:
        step, sentence = run.collapses[-1]
        st.warning(
            tr("{run}: no sign of collapse at the newest look, but at step {step}: {warning}", run=run.name, step=step,
               warning=sentence)
        )  # fmt: skip
    elif run.newest("rankme") is not None:
        st.success(tr("{run}: no sign of collapse at the newest look.", run=run.name), icon=":material/check_circle:")
    if run.state == "stopped":
        st.info(
            tr("{run} stopped at step {step}. `cytojepa pretrain --resume` goes on with the newest run.", run=run.name,
               step=run.step)
        )  # fmt: skip


def _token_picture(run: Run) -> None:
    if not run.pictures:
        return
    st.subheader(tr("What the encoder sees"))
    st.caption(
        tr("Above, tiles that training never uses. Below, their patches: equal colours look alike to the encoder. "
           "Nuclei, cytoplasm and empty glass in colours of their own are a good sign; noise or one colour is a bad "
           "one.")
    )  # fmt: skip
    for path in {run.pictures[0]: None, run.pictures[-1]: None}:
        st.image(path.read_bytes(), caption=tr("{run}, step {step}", run=run.name,
                                               step=int(path.stem.removeprefix("step-"))))  # fmt: skip


@st.fragment(run_every=_REFRESH_SECONDS)
def _page() -> None:
    people.require("runs")  # it renews itself: the script above does not run again
    folders = run_folders(people.services())[::-1]
    if not folders:
        pieces.empty(
            tr("No run yet."), tr("The page Jobs starts one, or cytojepa pretrain on the machine of this study; it "
                                  "appears here at once."), link=("/jobs", tr("Start a job")),
        )  # fmt: skip
        return
    runs = [read_run(folder) for folder in folders]
    table = summary(runs)
    table["state"] = [tr(STATES[run.state]) for run in runs]
    st.dataframe(
        table, hide_index=True,
        column_config={
            **{name: st.column_config.Column(tr(text)) for name, text in _HEADS.items()},
            "rank": st.column_config.NumberColumn(tr("rank"), format="%.1f"),
            "nearest": st.column_config.NumberColumn(tr("nearest labels"), format="%.2f"),
            "images/s": st.column_config.NumberColumn(tr("images/s"), format="%.1f"),
            "warning": st.column_config.TextColumn(tr("warning"), width="large"),
        },
    )  # fmt: skip
    by_name = {run.name: run for run in runs}
    chosen = st.multiselect(
        tr("Runs to compare, four at most"), list(by_name), default=[runs[0].name], max_selections=4
    )
    shown = [by_name[name] for name in chosen if name in by_name]
    if not shown:
        st.caption(tr("Choose a run to see its curves."))
        return
    for run in shown:
        _say_health(run)
    for start in range(0, len(MEASURES), _COLUMNS):
        columns = st.columns(_COLUMNS, gap="medium")
        for column, measure in zip(columns, MEASURES[start : start + _COLUMNS], strict=True):
            with column:
                _chart(measure, shown)
    _token_picture(shown[0])
    st.caption(
        tr("A checkpoint is never chosen by these curves; `cytojepa evaluate` compares encoders by labels.")
    )  # fmt: skip


people.require("runs")
tr = people.wording()
st.header(tr("Runs"))
_page()
st.caption(tr("Research use only. Not a medical device."))
