"""Labels out: choose what, wait for it, fetch it."""

from typing import get_args

import streamlit as st

from app.exports import AGREEMENT_WORDS, FORMAT_WORDS, KIND_WORDS, STAGE_WORDS, known_exports, make_export, moments_of
from app.views import people, pieces
from datasets import catalog
from datasets.db import utc_now
from labeling import accounts
from labeling.errors import LabelingError
from labeling.export import FORMATS, Stage
from labeling.export.agreed import AGREEMENTS
from labeling.export.rows import Kind, Selection

_SHOWN = 20

person, services, tr = people.require("export"), people.services(), people.wording()


def named(format_name: str) -> str:
    """Return a format's name and what it is for."""
    return f"{format_name}: {tr(FORMAT_WORDS[format_name])}" if format_name in FORMAT_WORDS else format_name


def make(format_name: str, selection: Selection) -> None:
    """Write the export while its progress is shown."""
    bar = st.progress(0.0, tr("Writing"))

    def on_progress(stage: Stage, done: int, total: int) -> None:
        bar.progress(done / max(total, 1), tr(STAGE_WORDS[stage], done=done, total=total))

    try:
        found = make_export(services, format_name, selection, by=person.name, on_progress=on_progress)
    except (LabelingError, OSError) as error:
        bar.empty()
        st.error(
            str(error) if isinstance(error, LabelingError) else tr("The file could not be written: the disk said no.")
        )
        return
    bar.empty()
    st.success(tr("{rows} rows. The file is the first of the list below.", rows=found.rows))
    st.code(f"sha256 {found.sha256}", language=None)


st.header(tr("Export"))
with st.form("export"):
    left, right = st.columns(2, gap="large")
    with left:
        chosen = st.selectbox(tr("Format"), FORMATS, format_func=named)
        kinds = st.multiselect(
            tr("Rows"), get_args(Kind), placeholder=tr("as the format has them"),
            format_func=lambda kind: tr(KIND_WORDS[kind]),
        )  # fmt: skip
        is_current = st.checkbox(tr("Without what was taken back or replaced"))
        agreement = st.selectbox(
            tr("Only cells where"), AGREEMENTS, index=None, placeholder=tr("all"),
            format_func=lambda kind: tr(AGREEMENT_WORDS[kind]),
        )  # fmt: skip
        percent = st.number_input(
            tr("Only cells whose commonest answer has this share, in per cent"), 0, 100, value=None,
            placeholder=tr("all"), help=tr("Of the doctors' current answers. What came with the data is no doctor."),
        )  # fmt: skip
        readers = st.number_input(tr("For the share: decided by so many doctors at least"), 1, 100, 1)
    with right:
        names = [account.name for account in accounts.list_accounts(services.database)]
        doctors = st.multiselect(tr("Only these people"), names, placeholder=tr("all"))
        categories = st.multiselect(
            tr("Only these categories"), services.label_set.ids, placeholder=tr("all"),
            format_func=lambda name: tr(services.label_set[name].name),
        )  # fmt: skip
        slides = st.multiselect(
            tr("Only these slides"), [s.id for s in catalog.slides_with_pictures(services.database)],
            placeholder=tr("all"),
        )  # fmt: skip
        days = st.date_input(
            tr("Only what was stored on these days (UTC)"), value=[], max_value=utc_now().date(), format="YYYY-MM-DD"
        )
    is_wanted = st.form_submit_button(tr("Write the file"), type="primary")
st.caption(
    tr("Files name cells and slides by their codes; of people they hold the account names. Each export is told in the "
       "chain of events.")
)  # fmt: skip
if is_wanted:
    since, until = moments_of(days)
    make(
        chosen,
        Selection(
            slides=tuple(slides), annotators=tuple(doctors), categories=tuple(categories), is_current_only=is_current,
            kinds=tuple(kinds) or Selection().kinds, agreement=agreement, since=since, until=until,
            min_share=None if percent is None else percent / 100, min_readers=readers,
        ),
    )  # fmt: skip
files = known_exports(services.home)[:_SHOWN]
if files:
    st.subheader(tr("Files"))
    pieces.links([(f"/api/exports/{p.name}", p.name, f"{p.stat().st_size / 1e6:.2f} MB") for p in files])
st.caption(tr("Research use only. Not a medical device."))
