"""The site of the guides, opened from plain files: its search finds, and nothing is asked of the network."""

import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE_MS
from tests.docs_text import ROOT

pytestmark = pytest.mark.browser


def test_search__works_from_files_and_asks_nobody(browser, tmp_path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    subprocess.run([*command, "--config-file", str(ROOT / "mkdocs.yml")], check=True)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{tmp_path / 'site' / 'index.html'}")
    page.click(".md-search__input")
    page.keyboard.type("wheelhouse", delay=30)
    # While the word is typed its beginnings are found elsewhere.
    first = page.locator(".md-search-result__item a").first
    expect(first).to_have_attribute("href", re.compile(r"/(it|security)\.html"))
    page.goto(f"file://{tmp_path / 'site' / 'doctors.html'}")
    page.wait_for_load_state("networkidle")
    page.close()

    assert [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
