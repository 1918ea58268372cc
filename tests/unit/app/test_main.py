"""The frame of all pages."""

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.views import people
from app.words import words
from labeling.accounts import SignedIn

MAIN = Path(people.__file__).parents[1] / "main.py"


class _Broken:
    url_path = "progress"

    def run(self) -> None:
        raise KeyError("CE-1")


def test_page_that_meets_a_fault__says_so_in_the_readers_language_and_tells_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(people, "signed_in", lambda: SignedIn(name="ada", role="annotator", csrf_token=""))
    monkeypatch.setattr(people, "wording", lambda: words("de"))
    monkeypatch.setattr(st, "navigation", lambda *_, **__: _Broken())
    page = AppTest.from_file(str(MAIN), default_timeout=60).run()

    assert list(page.exception) == []
    assert [error.value.split(";")[0] for error in page.error] == ["Auf dieser Seite ist ein Fehler aufgetreten"]
    assert "KeyError: 'CE-1'" in caplog.text
