"""The site of the guides, opened from plain files: its search finds, and nothing is asked of the network."""

import subprocess
import sys

import pytest

from tests.docs_text import ROOT

pytestmark = pytest.mark.browser


def test_search__works_from_files_and_asks_nobody(browser, tmp_path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    subprocess.run([*command, "--config-file", str(ROOT / "mkdocs.yml")], check=True)
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{tmp_path / 'site' / 'index.html'}")
    page.click(".md-search__input")
    page.keyboard.type("wheelhouse", delay=30)
    page.wait_for_selector(".md-search-result__item a", timeout=60_000)
    found = page.locator(".md-search-result__item a").first.get_attribute("href")
    page.goto(f"file://{tmp_path / 'site' / 'doctors.html'}")
    page.wait_for_load_state("networkidle")
    page.close()

    assert found is not None
    assert "it.html" in found or "security.html" in found
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
