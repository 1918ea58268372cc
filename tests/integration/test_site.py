"""The site of the guides: it builds strictly, holds together, asks nobody else, and is found through its search."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from tests.docs_text import ROOT


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif "src" in found or (tag == "link" and found.get("rel") not in ("canonical", "alternate")):
            self.loads.append(found.get("src") or found.get("href", ""))


def _build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    return subprocess.run(
        [*command, "--config-file", str(source / "mkdocs.yml")], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    built = _build(ROOT, out)
    assert built.returncode == 0, built.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    found = {}
    for path in site.rglob("*.html"):
        page = _Page()
        page.feed(path.read_text())
        found[path.resolve()] = page
    return found


def test_links__lead_to_a_file_and_a_heading(pages: dict[Path, _Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            address, anchor = urldefrag(link)
            if urlsplit(address).scheme or path.name == "404.html":
                continue
            target = (path.parent / unquote(address)).resolve() if address else path
            if not target.exists() or (anchor and target in pages and unquote(anchor) not in pages[target].ids):
                broken.append((path.name, link))

    assert broken == []
    assert sum(len(page.links) for page in pages.values()) > 100


def test_pages__load_nothing_from_elsewhere(site: Path, pages: dict[Path, _Page]) -> None:
    loads = {load for page in pages.values() for load in page.loads}
    styles = "".join(path.read_text() for path in site.rglob("*.css"))

    assert [load for load in loads if "//" in load] == []
    assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", styles) == []


def test_search__index_holds_every_page(site: Path, pages: dict[Path, _Page]) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    indexed = {urldefrag(document["location"])[0] for document in index["docs"]}

    assert {path.name for path in pages} - {"404.html"} <= {name or "index.html" for name in indexed}
    assert (site / "search" / "search_index.js").read_text().startswith("var __index = ")


def test_build__fails_when_a_link_does(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("screenshots", "__pycache__"))
    (tmp_path / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text())
    for page in (tmp_path / "docs").glob("*.md"):
        page.write_text(re.sub(r"!\[.*?\]\(screenshots/.*?\)", "", page.read_text()))
    (tmp_path / "docs" / "index.md").write_text("[gone](gone.md) [gone](it.md#gone)")
    built = _build(tmp_path, tmp_path / "site")

    assert built.returncode != 0
    told = [line for line in built.stderr.splitlines() if line.startswith("WARNING")]
    assert len(told) == 2, "nothing else is wrong"
    assert all(any(f"'{link}'" in line for line in told) for link in ("gone.md", "it.md#gone")), told
