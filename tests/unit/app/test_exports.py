"""The Export page has a word for everything that it offers, and passes on what is chosen there."""

import dataclasses
import inspect
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import pytest
from streamlit.testing.v1 import AppTest

from app import exports
from app.api.v1.export import _Export
from app.commands.study import export
from app.exports import AGREEMENT_WORDS, FORMAT_WORDS, KIND_WORDS, Export, moments_of
from app.views import people
from app.words import words
from labeling.accounts import SignedIn
from labeling.export import FORMATS
from labeling.export.agreed import AGREEMENTS
from labeling.export.rows import Kind, Selection

PAGE = Path(people.__file__).with_name("export.py")


def test_words__are_there_for_every_kind_of_row_and_format() -> None:
    assert set(KIND_WORDS) == set(get_args(Kind))
    assert set(FORMAT_WORDS) == set(FORMATS)
    assert set(AGREEMENT_WORDS) == set(AGREEMENTS)


def test_moments__hold_the_last_day_as_a_whole() -> None:
    first, after = datetime(2026, 1, 30, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

    assert moments_of(()) == (None, None)
    assert moments_of([date(2026, 1, 30), date(2026, 1, 31)]) == (first, after)
    assert moments_of([date(2026, 1, 31)]) == (datetime(2026, 1, 31, tzinfo=UTC), after)


def test_page__filters_by_share_and_readers(services, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, Selection]] = []

    def make_export(_services: object, name: str, selection: Selection, **_: object) -> Export:
        made.append((name, selection))
        return Export(name="labels", rows=0, sha256="")

    monkeypatch.setattr(people, "services", lambda: services)
    monkeypatch.setattr(people, "wording", lambda: words("en"))
    monkeypatch.setattr(people, "require", lambda right=None: SignedIn(name="mara", role="data-manager", csrf_token=""))
    monkeypatch.setattr(exports, "make_export", make_export)
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    page.button[0].click().run()
    share, readers = page.number_input
    share.set_value(67)
    readers.set_value(3)
    page.button[0].click().run()

    assert not page.exception
    assert made == [("csv", Selection()), ("csv", Selection(min_share=0.67, min_readers=3))]


def test_filters__are_the_same_for_command_page_and_programs() -> None:
    """Each field of a selection can be chosen everywhere; only programs that follow a study ask by number."""
    command = {option.name: option for option in export.params}
    route = set(inspect.signature(_Export.file).parameters)
    named = {"slides": "slide", "annotators": "annotator", "categories": "category", "is_current_only": "current",
             "kinds": "rows"}  # fmt: skip
    fields = {field.name for field in dataclasses.fields(Selection)} - {"after_label_id"}
    page = PAGE.read_text()

    assert {named.get(field, field) for field in fields} <= route
    assert all(
        f"--{named.get(field, field).replace('_', '-')}" in str([o.opts for o in export.params]) for field in fields
    )
    assert all(f"{field}=" in page for field in fields)
    assert set(command["kind"].type.choices) == set(get_args(Kind))
