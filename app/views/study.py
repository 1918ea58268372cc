"""The study's settings, each with a sentence; for admins."""

from typing import Any, get_args

import streamlit as st

from app.settings import Settings, SuggestionMode
from app.study_settings import MEANING, TITLES, change_settings
from app.views import people
from app.words import word
from datasets.errors import SettingsError

_MODES = {"after": word("after the answer"), "shown": word("before the answer"), "hidden": word("never")}
_RANGES = {"reads": (1, 5), "lease_seconds": (30, 86_400), "foil_percent": (0, 20)}

person, services, tr = people.require("people"), people.services(), people.wording()
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


st.header(tr("Study"))
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
    tr("They stand in cytojepa.toml; changes are told in the chain of events. The server reads them when it starts. "
       "Label set and scale of the crops belong to the study from its first cell and are not changed here.")
)  # fmt: skip
st.caption(tr("Research use only. Not a medical device."))
