"""The pages of a study that an earlier version has left: each is drawn with its rows, and labelling goes on."""

import sqlite3
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.pictures import Pictures
from app.services import Services
from app.views import people
from app.words import words
from labeling.accounts import SignedIn
from labeling.verification import check_chain
from tests.web import client_of

OLD = sorted((Path(__file__).parents[1] / "golden").glob("schema-*.sql"))
VIEWS = Path(people.__file__).parent
SAYS = {"progress": "1 of 4", "slides": "SL-AAAAAAAAAAAAA", "quality": "Answers worth", "bias": "Do suggestions lead",
        "export": "ada", "audit": "newest event", "team": "ada", "study": "SL-AAAAAAAAAAAAA"}  # fmt: skip
"""What each page that reads rows by itself says of the old study; the others ask the routes."""


@pytest.fixture(params=OLD, ids=lambda path: path.stem)
def upgraded(request: pytest.FixtureRequest, tmp_path: Path):
    """A study of an earlier schema, opened by this program."""
    home = tmp_path / "home"
    home.mkdir()
    connection = sqlite3.connect(home / "catalog.sqlite")
    connection.executescript(request.param.read_text())
    connection.close()
    services = Services.open(home)
    yield services
    services.database.close()


def _said(page: AppTest) -> str:
    """Return what Streamlit sends of a page: texts, tables' bytes, what a form offers."""
    return " ".join(str(element.proto) for element in page if hasattr(element, "proto"))


@pytest.mark.parametrize("upgraded", OLD[:1], indirect=True, ids=["oldest"])
def test_pages__of_an_upgraded_study_are_drawn(upgraded: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = SignedIn(name="root", role="admin", csrf_token="")
    monkeypatch.setattr(people, "services", lambda: upgraded)
    monkeypatch.setattr(people, "wording", lambda: words("en"))
    monkeypatch.setattr(people, "require", lambda right=None: admin)
    monkeypatch.setattr(people, "signed_in", lambda: admin)
    monkeypatch.setattr(st, "page_link", lambda *_, **__: None)  # a page that is drawn alone has no menu to link into
    for name, words_of_it in SAYS.items():
        page = AppTest.from_file(str(VIEWS / f"{name}.py"), default_timeout=60).run()
        assert (list(page.exception), list(page.error)) == ([], []), name
        assert words_of_it in _said(page), name


def test_labelling__goes_on_in_an_upgraded_study(upgraded: Services) -> None:
    ada, root = (client_of(upgraded, Pictures(upgraded), *who) for who in (("ada",), ("root", "admin")))
    given = [item["cell"] for item in ada.get("/api/gallery").json()["items"]]
    assert given == [f"CE-AAAAAAAAAAA0{n}" for n in (0, 1, 3)]  # ada has answered the other, and taken this answer back
    event = {"kind": "label", "key": "new", "cell": given[1], "category": "HSIL"}
    assert ada.post("/api/v1/labels", json={"events": [event]}).json()["receipts"][0]["accepted"]
    assert [step["step"] for step in ada.get("/api/v1/recent").json()["steps"]] == ["new", "k2"]
    assert ada.get("/api/v1/choices").json()["left"] == 2
    assert ada.get("/api/slides").json()["slides"][0]["cells"] == 4
    exported = root.get("/api/v1/export/csv").text.splitlines()

    assert [line.split(",")[1] for line in exported[2:5]] == ["k1", "k2", "new"]
    assert (check_chain(upgraded.database).events >= 5, check_chain(upgraded.database).problems) == (True, ())
