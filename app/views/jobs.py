"""Long jobs of the study: how far each is, what went wrong, stopping, going on, starting."""

from datetime import datetime

import streamlit as st

from app import job_files, jobs
from app.job_files import Job, JobError
from app.views import people, pieces
from app.words import word
from datasets import catalog
from datasets.db import utc_now
from datasets.told import sentence_of
from jepa.config import PRESETS

_KINDS = {
    "ingest": word("Take files in"),
    "detect": word("Find nuclei"),
    "quality": word("Measure pictures"),
    "pretrain": word("Pretrain the encoder"),
    "embed": word("Compute vectors"),
    "refit": word("Fit the probe"),
    "map": word("Draw the map"),
}
_STATES = {
    "starting": (word("starting"), ":material/hourglass_top:"),
    "running": (word("at work"), ":material/play_circle:"),
    "stopping": (word("stopping"), ":material/pending:"),
    "done": (word("done"), ":material/check_circle:"),
    "stopped": (word("stopped"), ":material/stop_circle:"),
    "failed": (word("failed"), ":material/error:"),
    "dead": (word("died"), ":material/error:"),
}
_UNITS = {
    "file": word("files"),
    "tile": word("tiles"),
    "picture": word("pictures"),
    "slide": word("slides"),
    "step": word("steps"),
    "cell": word("cells"),
}
_ENCODERS = {
    "default": word("the newest run, else the one that comes with the program"),
    "shipped": word("the one that comes with the program"),
    "handcrafted": word("handcrafted measures"),
    "default+handcrafted": word("the newest run or the one that comes, joined with handcrafted measures"),
    "shipped+handcrafted": word("the one that comes with the program, joined with handcrafted measures"),
}
_KEEP = {
    "refer": word("stay where they are"),
    "--copy": word("are copied"),
    "--move": word("are moved"),
}
_DEAD = word("The process is gone without a word: it was killed, or memory or power ran out.")
_REFRESH_SECONDS = 2
_SHOWN = 20

person, services, tr = people.require("runs"), people.services(), people.wording()


def _ago(at: datetime) -> str:
    return tr("{span} ago", span=_span((utc_now() - at).total_seconds()))


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _progress_words(job: Job) -> str:
    unit = tr(_UNITS.get(job.stage, job.stage))
    parts = [tr("{done} of {all} {unit}", done=f"{job.done:,}", all=f"{job.total:,}", unit=unit)] if job.total else []
    if job.is_alive and job.per_second:
        parts.append(
            tr("{n:.3g} per second", n=job.per_second) if job.per_second >= 0.1
            else tr("{n:.3g} a minute", n=60 * job.per_second)
        )  # fmt: skip
    if job.seconds_left is not None and job.done < job.total:
        parts.append(tr("{span} left", span=_span(job.seconds_left)))
    return ", ".join([*parts, *filter(None, [job.note])])


def _act(action: str, job: Job) -> None:
    """Stop a job or let it go on; runs before the page is drawn anew, with the role as it is now."""
    who = people.require("runs")
    try:
        (jobs.stop_job if action == "stop" else jobs.resume_job)(services, job.id, by=who.name)
    except JobError as error:
        st.session_state["job-problem"] = tr.of(sentence_of(error))


def _show(job: Job) -> None:
    state, icon = _STATES[job.state]
    kind = tr(_KINDS.get(job.kind, job.kind))
    with st.container(border=True, key=f"job-{job.id}"):
        words, button = st.columns([6, 1], vertical_alignment="center")
        ago = _ago(job.ended_at or job.at)
        said = word("ended {ago}, by {who}") if job.ended_at else word("started {ago}, by {who}")
        when = tr(said, ago=ago, who=job.by)
        words.markdown(f"**{kind}** &nbsp; {icon} {tr(state)}")
        words.caption(when + (f", {job.facts['run']}" if "run" in job.facts else ""))
        if job.is_alive and job.kind == "refit":
            words.caption(
                tr("Beside the pages as long as the server runs.")
                + (tr(" Labels at the last fit and its time: {note}", note=job.note) if job.note else "")
            )
        elif job.is_alive and job.total:
            words.progress(min(1.0, job.done / job.total), text=_progress_words(job))
        elif job.is_alive:
            words.progress(0.0, text=tr("Getting ready"))
        elif job.total and job.state != "done":
            words.caption(tr("Got to {place}.", place=_progress_words(job)))
        if job.state in ("failed", "dead"):
            words.error(tr.of(job.sentence) or tr(_DEAD))
        elif job.sentence:
            words.caption(tr.of(job.sentence))
        _show_button(button, job, kind)


def _show_button(place: "st.delta_generator.DeltaGenerator", job: Job, kind: str) -> None:
    if job.state in ("running", "stopping"):
        label = tr("Restart") if job.kind == "refit" else tr("End at once") if job.state == "stopping" else tr("Stop")
        place.button(label, key=f"stop {job.id}", help=f"{label}: {kind}", on_click=_act, args=("stop", job))
    elif jobs.words_to_resume(services.home, job) is not None:
        label = tr("Go on")
        place.button(label, key=f"resume {job.id}", help=f"{label}: {kind}", on_click=_act, args=("resume", job))


@st.fragment(run_every=_REFRESH_SECONDS)
def _list() -> None:
    people.require("runs")
    problem = st.session_state.pop("job-problem", None)
    if problem:
        st.error(problem)
    known = job_files.jobs(services.home)
    alive = [job for job in known if job.is_alive]
    past = [job for job in known if not job.is_alive]
    if not known:
        pieces.empty(
            tr("No job yet"),
            tr("Ingest, pretraining, vectors: what takes long shows here, also from the command line."),
        )
    for job in alive:
        _show(job)
    if past:
        st.subheader(tr("Past"))
    for job in past[:_SHOWN]:
        _show(job)


def _start(kind: str, words: list[str]) -> None:
    try:
        jobs.start_job(services, kind, words, by=people.require("runs").name)
    except JobError as error:
        st.error(tr.of(sentence_of(error)))
    else:
        st.rerun()


def _ingest_form() -> None:
    folders = services.settings.inbox
    if not folders:
        st.caption(
            tr("Name the folders in cytojepa.toml, such as {example}, or use `cytojepa ingest`.",
               example='`inbox = ["/srv/slides"]`')
        )  # fmt: skip
        return
    with st.form("ingest", border=False):
        folder = st.selectbox(tr("Folder of the server"), folders)
        mpp = st.number_input(
            tr("\u00b5m per pixel of files that do not tell; 0: none given"), 0.0, 20.0, 0.0, format="%.4f"
        )
        step = st.number_input(
            tr("\u00b5m between focal planes; 0: no planes"), 0.0, 100.0, 0.0, format="%.2f",
            help=tr("The pictures of each folder are planes of one field, so many \u00b5m apart, lowest first."),
        )  # fmt: skip
        keep = st.selectbox(
            tr("Scans"), list(_KEEP), format_func=lambda chosen: tr(_KEEP[chosen]),
            help=tr(
                "A copy lies in the study and holds no label picture and no text; moving also removes each "
                "original of which every pixel is in the copy."
            ),
        )  # fmt: skip
        if st.form_submit_button(tr("Take files in")):
            options = [f"--mpp={mpp}"] if mpp else []
            options += [f"--stack={step}"] if step else []
            _start("ingest", ["ingest", folder, *options, *([keep] if keep != "refer" else [])])
        st.caption(tr("Files that are in already are passed over."))


def _pretrain_form() -> None:
    with st.form("pretrain", border=False):
        preset = st.selectbox(tr("Preset"), list(PRESETS))
        steps = st.number_input(tr("Steps; 0: as many as the preset has"), 0, 10_000_000, 0)
        from_shipped = st.checkbox(tr("Start from the encoder that comes with the program (its size stays)"))
        if st.form_submit_button(tr("Pretrain")):
            start = ["--init=shipped"] if from_shipped else []
            _start("pretrain", ["pretrain", "--preset", preset, *start, *([f"--steps={steps}"] if steps else [])])


def _embed_form() -> None:
    with st.form("embed", border=False):
        name = st.selectbox(
            tr("Encoder"), list(_ENCODERS), format_func=lambda chosen: tr(_ENCODERS[chosen]),
            help=tr("The page Progress shows afterwards how well suggestions learn from these vectors."),
        )  # fmt: skip
        if st.form_submit_button(tr("Compute vectors")):
            _start("embed", ["embed", "--encoder", name])


def _pictures_form() -> None:
    st.caption(tr("Nuclei where nobody has marked points; focus, stain and doubles of all pictures."))
    if st.button(tr("Find nuclei")):
        _start("detect", ["detect"])
    if st.button(tr("Measure pictures")):
        _start("quality", ["quality"])
    st.caption(tr("The map of all cells by neighbourhoods, and whether vectors know the cell or the slide."))
    if st.button(tr("Draw the map")):
        _start("map", ["map"])


st.header(tr("Jobs"))
with st.expander(tr("Start a job"), expanded=not job_files.jobs(services.home)):
    counts = catalog.counts(services.database)
    st.caption(
        tr("{slides} slides, {cells} cells in this study.", slides=f"{counts.slides:,}", cells=f"{counts.cells:,}")
    )
    forms = {tr("Files"): _ingest_form, tr("Pictures"): _pictures_form, tr("Encoder"): _pretrain_form,
             tr("Vectors"): _embed_form}  # fmt: skip
    for tab, form in zip(st.tabs(list(forms)), forms.values(), strict=True):
        with tab:
            form()
_list()
st.caption(tr("Research use only. Not a medical device."))
