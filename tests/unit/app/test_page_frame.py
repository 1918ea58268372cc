"""The document around the pages, and what Streamlit's frame asks about its surroundings."""

import re
from pathlib import Path

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.page_frame import PageFrame
from app.services import Services
from labeling import accounts

HTML = {"accept": "text/html", "accept-language": "de"}


@pytest.fixture
def frame(tmp_path):
    """Return a function that opens the frame of an application without routes, signed in or not."""
    services = Services.open(tmp_path)
    accounts.add_account(services.database, "ada", "annotator", "a long password")
    person = accounts.check_sign_in(services.database, accounts.open_sign_in(services.database, "ada"))
    inner = PageFrame(Starlette(), services.database)

    def opened(*, is_signed_in: bool) -> TestClient:
        async def app(scope, receive, send):
            await inner({**scope, "state": {"signed_in": person if is_signed_in else None}}, receive, send)

        return TestClient(app)

    yield opened
    services.database.close()


def test_surroundings__no_windows_over_the_cell(frame) -> None:
    """Its own answer lets it: raw JSON covered every page a minute after the sign-in had ended."""
    assert frame(is_signed_in=True).get("/_stcore/host-config").json()["blockErrorDialogs"] is True


@pytest.mark.parametrize("path", ["/", "/gallery", "/gallery/"])
def test_document__says_where_the_server_is_in_the_readers_language(frame, path) -> None:
    page = frame(is_signed_in=True).get(path, headers=HTML).text

    assert "<title>CytoJEPA</title>" in page
    assert '<html lang="de">' in page
    assert "BACKEND_BASE_URL: location.origin" in page
    assert "Diese Seiten brauchen JavaScript" in page
    script = re.search(r'<script type="module" [^>]*src="/(static/js/[^"]*)"', page)
    assert script
    assert (Path(st.__file__).parent / "static" / script[1]).is_file()
    assert re.search(r'<link rel="stylesheet" [^>]*href="/static/css/', page)


@pytest.mark.parametrize("path", ["/api/gallery", "/_stcore/health", "/static/js/index.js", "/component/x"])
def test_document__is_not_in_the_way_of_what_is_no_page(frame, path) -> None:
    assert frame(is_signed_in=True).get(path, headers=HTML).status_code == 404


def test_document__is_for_nobody_who_is_not_signed_in(frame) -> None:
    assert frame(is_signed_in=False).get("/", headers=HTML).status_code == 404
