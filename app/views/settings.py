"""Everybody's own settings: the language, the keys and the password."""

from collections.abc import Iterator, Mapping

import streamlit as st

from app import own_password
from app.keys import KeyRefused, answer_keys, commands_by_pages, own_key, refuse_conflicts
from app.sign_in import COOKIE
from app.views import people
from app.words import languages
from labeling import preferences
from labeling.preferences import Preferences

_COLUMNS = 4

person, services, tr = people.require(), people.services(), people.wording()
own = preferences.read(services.database, person.name)
label_set = services.label_set


def choose_language() -> None:
    """Let the person choose a language; the page comes back in it at once."""
    names = {"": tr("as the browser says"), **languages()}
    codes = list(names)
    chosen = st.selectbox(
        tr("Language"), codes, index=codes.index(own.language or ""), format_func=names.__getitem__, width=320
    )
    if (chosen or None) != own.language:
        preferences.store(services.database, person.name, Preferences(language=chosen or None, keys=own.keys))
        st.rerun()


def _places() -> Iterator["st.delta_generator.DeltaGenerator"]:
    """Yield places row by row: where a name takes two lines, the fields of its row still stand in one line."""
    while True:
        yield from st.columns(_COLUMNS, vertical_alignment="bottom")


def key_field(what: str, name: str, key: str) -> tuple[str, str]:
    """Draw the field of one key; return what it is of, and what stands in it."""
    return what, st.text_input(name, key, max_chars=1, key=f"key-{what}").strip().upper()


def choose_keys() -> None:
    """Let the person give other keys to answers and commands; refuse what would be unclear."""
    st.subheader(tr("Keys"))
    st.caption(
        tr("One key for each; they hold on every machine on which you sign in. Z, ? and the arrows stay as they are.")
    )
    defaults = {f"answer:{c}": key for c, key in answer_keys(label_set, {}).items()}
    fields: dict[str, str] = {}
    with st.form("keys"):
        for category, place in zip(label_set.categories, _places(), strict=False):
            with place:
                what, key = key_field(
                    f"answer:{category.id}", tr(category.name), answer_keys(label_set, own.keys)[category.id]
                )
                fields[what] = key
        for pages, commands in commands_by_pages(reviews=person.may("adjudicate")).items():
            st.markdown(f"**{tr('On {pages}', pages=' · '.join(map(tr, pages)))}**")
            for command, place in zip(commands, _places(), strict=False):
                defaults[f"command:{command.id}"] = own_key(command, label_set, {}) or ""
                with place:
                    what, key = key_field(
                        f"command:{command.id}", tr(command.text), own_key(command, label_set, own.keys) or ""
                    )
                    fields[what] = key
        with st.container(horizontal=True):
            is_wanted = st.form_submit_button(tr("Keep these keys"), type="primary")
            is_reset = st.form_submit_button(tr("All as they were made"))
    if is_reset:
        keep_keys({})
    elif is_wanted:
        keep_keys({what: key for what, key in fields.items() if key and key != defaults[what]})


def keep_keys(keys: Mapping[str, str]) -> None:
    """Store own keys unless one of them has two meanings."""
    try:
        refuse_conflicts(label_set, keys, tr)
    except KeyRefused as error:
        st.error(str(error))
        return
    preferences.store(services.database, person.name, Preferences(language=own.language, keys=keys))
    for name in [name for name in st.session_state if str(name).startswith("key-")]:
        del st.session_state[name]
    st.session_state["kept"] = True
    st.rerun()


def choose_password() -> None:
    """Let the person choose another password."""
    st.subheader(tr("Password"))
    with st.form("password", clear_on_submit=True, width=480):
        before = st.text_input(tr("Password until now"), type="password", autocomplete="current-password")
        new = st.text_input(tr("New password"), type="password", autocomplete="new-password")
        again = st.text_input(tr("New password, once more"), type="password", autocomplete="new-password")
        is_wanted = st.form_submit_button(tr("Change the password"))
    if is_wanted:
        token = st.context.cookies.get(COOKIE, "")
        refusal, values = own_password.change(services.database, person.name, before, new, again, token=token)
        if refusal:
            st.error(tr(refusal, **values))
        else:
            st.success(tr("The password is changed; you are signed out everywhere else."))


st.header(tr("Settings"))
if st.session_state.pop("kept", False):
    st.success(tr("Kept. Pages that are open take the new keys when they are opened again."))
choose_language()
st.caption(tr("Light or dark follows your system."))
if person.may("label"):
    choose_keys()
if own_password.has_password(services.database, person.name):
    choose_password()
st.caption(tr("Research use only. Not a medical device."))
