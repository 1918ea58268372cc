"""Which cells come first, for data managers; the study's settings, each with a sentence, for admins."""

from typing import Any, get_args

import streamlit as st

from app.settings import Settings, SuggestionMode
from app.study_settings import MEANING, TITLES, change_settings
from app.views import people
from app.words import word
from datasets import catalog
from datasets.errors import SettingsError
from labeling import orders
from labeling.accounts import doctors
from labeling.errors import OrderRefused
from labeling.orders import Order

_MODES = {"after": word("after the answer"), "shown": word("before the answer"), "hidden": word("never")}
_RANGES = {"reads": (1, 5), "lease_seconds": (30, 86_400), "foil_percent": (0, 20)}

person, services, tr = people.require("runs"), people.services(), people.wording()
stored = Settings.load(services.home)


def draw(name: str) -> Any:
    """Draw one setting with its sentence; return what is in it."""
    value: Any = getattr(stored, name)
    title = tr(TITLES[name])
    if name == "suggestions":
        modes = get_args(SuggestionMode)
        words = {mode: tr(_MODES[mode]) for mode in modes}
        value = st.selectbox(title, modes, modes.index(value), words.__getitem__, key=name, width=320)
    else:
        low, high = _RANGES.get(name, (0, 100))
        value = int(st.number_input(title, low, high, value, key=name, width=320))
    st.caption(f"{tr(MEANING[name])} `{name}`")
    return value


def choose_order() -> None:
    """Let a data manager say which cells come first, and which alone."""
    st.subheader(tr("Which cells come first"))
    st.caption(
        tr("It holds for all doctors from the next refit. Check cells stay as chance brings them, so that the figures "
           "do not change with the order. Every second uncertain cell at most is of a category that comes first: "
           "a queue of nothing else would tell the suggestion.")
    )  # fmt: skip
    before = orders.read(services.database)
    slides = sorted(catalog.slide_ids(services.database))
    readers = orders.readers(services.database)
    choices = {
        "first_slides": (tr("Slides that come first"), slides),
        "first_classes": (tr("Categories that come first, by suggestion"), services.label_set.class_ids),
        "only_slides": (tr("Nothing but these slides"), slides),
        "second_reads_of": (tr("A second doctor decides the cells of"), readers),
        "second_readers": (tr("The second doctor is one of"), doctors(services.database) if readers else []),
    }
    with st.form("order"):
        chosen = {
            name: tuple(
                st.multiselect(
                    text,
                    options,
                    [x for x in getattr(before, name) if x in options],
                    key=name,
                    placeholder=tr("anybody") if name == "second_readers" else tr("none"),
                )
            )
            for name, (text, options) in choices.items()
            if options  # nobody to choose before somebody has labelled
        }
        is_wanted = st.form_submit_button(tr("Set this order"), type="primary")
    if is_wanted:
        try:
            orders.give(services.database, Order(**chosen), by=person.name, label_set=services.label_set,
                        doctors=doctors(services.database))  # fmt: skip
        except OrderRefused as error:
            st.error(str(error))
        else:
            st.success(tr("The order holds from the next refit."))


def choose_settings() -> None:
    """Let an admin change the study's settings."""
    if stored != services.settings:
        st.warning(tr("These settings are other than those of the running server. They hold from its next start."))
    with st.form("study"):
        left, right = st.columns(2, gap="large")
        values: dict[str, Any] = {}
        for place, name in enumerate(MEANING):
            with left if place < 5 else right:
                values[name] = draw(name)
        is_wanted = st.form_submit_button(tr("Write these settings"), type="primary")
    if is_wanted:
        try:
            change_settings(services.home, services.database, values, by=person.name)
        except SettingsError as error:
            st.error(str(error))
        else:
            st.rerun()
    st.caption(
        tr("They stand in cytojepa.toml; changes are told in the chain of events. The server reads them when it "
           "starts. Label set and scale of the crops belong to the study from its first cell and are not changed here.")
    )  # fmt: skip


st.header(tr("Study"))
choose_order()
if person.may("people"):
    choose_settings()
st.caption(tr("Research use only. Not a medical device."))
