"""Long jobs of the study: how far each is, what went wrong, stopping, going on, starting."""

from datetime import datetime

import streamlit as st

from app import job_files, jobs
from app.job_files import Job, JobError
from app.views import people, pieces
from datasets import catalog
from datasets.db import utc_now
from jepa.config import PRESETS

_KINDS = {
    "ingest": "Take files in",
    "detect": "Find nuclei",
    "quality": "Measure pictures",
    "pretrain": "Pretrain the encoder",
    "embed": "Compute vectors",
    "refit": "Fit the probe",
    "map": "Draw the map",
}
_STATES = {
    "starting": ("starting", ":material/hourglass_top:"),
    "running": ("at work", ":material/play_circle:"),
    "stopping": ("stopping", ":material/pending:"),
    "done": ("done", ":material/check_circle:"),
    "stopped": ("stopped", ":material/stop_circle:"),
    "failed": ("failed", ":material/error:"),
    "dead": ("died", ":material/error:"),
}
_UNITS = {"file": "files", "tile": "tiles", "picture": "pictures", "slide": "slides", "step": "steps", "cell": "cells"}
_DEAD = "The process is gone without a word: it was killed, or memory or power ran out."
_REFRESH_SECONDS = 2
_SHOWN = 20

person, services = people.require("runs"), people.services()


def _ago(at: datetime) -> str:
    return f"{_span((utc_now() - at).total_seconds())} ago"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _progress_words(job: Job) -> str:
    unit = _UNITS.get(job.stage, job.stage)
    parts = [f"{job.done:,} of {job.total:,} {unit}"] if job.total else []
    if job.is_alive and job.per_second:
        parts.append(
            f"{job.per_second:.3g} per second" if job.per_second >= 0.1 else f"{60 * job.per_second:.3g} a minute"
        )
    if job.seconds_left is not None and job.done < job.total:
        parts.append(f"{_span(job.seconds_left)} left")
    return ", ".join([*parts, *filter(None, [job.note])])


def _act(action: str, job: Job) -> None:
    """Stop a job or let it go on; runs before the page is drawn anew, with the role as it is now."""
    who = people.require("runs")
    try:
        (jobs.stop_job if action == "stop" else jobs.resume_job)(services, job.id, by=who.name)
    except JobError as error:
        st.session_state["job problem"] = str(error)


def _show(job: Job) -> None:
    state, icon = _STATES[job.state]
    kind = _KINDS.get(job.kind, job.kind)
    with st.container(border=True, key=f"job-{job.id}"):
        words, button = st.columns([6, 1], vertical_alignment="center")
        when = f"ended {_ago(job.ended_at)}" if job.ended_at else f"started {_ago(job.at)}"
        words.markdown(f"**{kind}** &nbsp; {icon} {state}")
        words.caption(f"{when}, by {job.by}" + (f", {job.facts['run']}" if "run" in job.facts else ""))
        if job.is_alive and job.kind == "refit":
            words.caption(f"Beside the pages as long as the server runs. {job.note}")
        elif job.is_alive and job.total:
            words.progress(min(1.0, job.done / job.total), text=_progress_words(job))
        elif job.is_alive:
            words.progress(0.0, text="Getting ready")
        elif job.total and job.state != "done":
            words.caption(f"Got to {_progress_words(job)}.")
        if job.state in ("failed", "dead"):
            words.error(job.sentence or _DEAD)
        elif job.sentence:
            words.caption(job.sentence)
        _show_button(button, job, kind)


def _show_button(place: "st.delta_generator.DeltaGenerator", job: Job, kind: str) -> None:
    if job.state in ("running", "stopping"):
        label = "Restart" if job.kind == "refit" else "End at once" if job.state == "stopping" else "Stop"
        place.button(label, key=f"stop {job.id}", help=f"{label}: {kind}", on_click=_act, args=("stop", job))
    elif jobs.words_to_resume(services.home, job) is not None:
        place.button("Go on", key=f"resume {job.id}", help=f"Go on: {kind}", on_click=_act, args=("resume", job))


@st.fragment(run_every=_REFRESH_SECONDS)
def _list() -> None:
    people.require("runs")
    problem = st.session_state.pop("job problem", None)
    if problem:
        st.error(problem)
    known = job_files.jobs(services.home)
    alive = [job for job in known if job.is_alive]
    past = [job for job in known if not job.is_alive]
    if not known:
        pieces.empty(
            "No job yet", "Ingest, pretraining, vectors: what takes long shows here, also from the command line."
        )
    for job in alive:
        _show(job)
    if past:
        st.subheader("Past")
    for job in past[:_SHOWN]:
        _show(job)


def _start(kind: str, words: list[str]) -> None:
    try:
        jobs.start_job(services, kind, words, by=people.require("runs").name)
    except JobError as error:
        st.error(str(error))
    else:
        st.rerun()


def _ingest_form() -> None:
    folders = services.settings.inbox
    if not folders:
        st.caption('Name the folders in cytojepa.toml, such as `inbox = ["/srv/slides"]`, or use `cytojepa ingest`.')
        return
    with st.form("ingest", border=False):
        folder = st.selectbox("Folder of the server", folders)
        mpp = st.number_input("µm per pixel of files that do not tell; 0: none given", 0.0, 20.0, 0.0, format="%.4f")
        if st.form_submit_button("Take files in"):
            _start("ingest", ["ingest", folder, *([f"--mpp={mpp}"] if mpp else [])])
        st.caption("Files that are in already are passed over.")


def _pretrain_form() -> None:
    with st.form("pretrain", border=False):
        preset = st.selectbox("Preset", list(PRESETS))
        steps = st.number_input("Steps; 0: as many as the preset has", 0, 10_000_000, 0)
        if st.form_submit_button("Pretrain"):
            _start("pretrain", ["pretrain", "--preset", preset, *([f"--steps={steps}"] if steps else [])])


def _embed_form() -> None:
    with st.form("embed", border=False):
        names = {"default": "the newest run", "handcrafted": "handcrafted measures", "default+handcrafted": "both"}
        name = st.selectbox("Encoder", list(names), format_func=names.__getitem__)
        if st.form_submit_button("Compute vectors"):
            _start("embed", ["embed", "--encoder", name])


def _pictures_form() -> None:
    st.caption("Nuclei where nobody has marked points; focus, stain and doubles of all pictures.")
    if st.button("Find nuclei"):
        _start("detect", ["detect"])
    if st.button("Measure pictures"):
        _start("quality", ["quality"])
    st.caption("The map of all cells by neighbourhoods, and whether vectors know the cell or the slide.")
    if st.button("Draw the map"):
        _start("map", ["map"])


st.title("Jobs")
with st.expander("Start a job", expanded=not job_files.jobs(services.home)):
    counts = catalog.counts(services.database)
    st.caption(f"{counts.slides:,} slides, {counts.cells:,} cells in this study.")
    forms = {"Files": _ingest_form, "Pictures": _pictures_form, "Encoder": _pretrain_form, "Vectors": _embed_form}
    for tab, form in zip(st.tabs(list(forms)), forms.values(), strict=True):
        with tab:
            form()
_list()
st.caption("Research use only. Not a medical device.")
