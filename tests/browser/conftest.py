"""A real server and a real browser. Each file of tests has a study of its own."""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from datasets import catalog
from datasets.crops import read_own_png
from datasets.embeddings import EmbeddingStore, set_current
from labeling import accounts
from tests.browser_server import PASSWORD, Server
from tests.builders import drawn_study

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PEOPLE = {"ada": "annotator", "ben": "annotator", "vera": "adjudicator", "root": "admin", "dora": "data-manager",
          "otto": "auditor"}  # fmt: skip
PATIENCE_MS = 90_000
SHOTS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"


def small_vectors(services) -> None:
    """Give every cell a vector: its crop in small. Enough for likeness; no encoder is needed."""
    ids = catalog.cell_ids(services.database)
    crops = [read_own_png(catalog.crop_path(services.home, i)) for i in ids]
    vectors = np.stack([cv2.resize(crop, (8, 8), interpolation=cv2.INTER_AREA).ravel() / 255.0 for crop in crops])
    EmbeddingStore(services.embeddings_folder, "small").append(ids, vectors - vectors.mean(axis=0))
    set_current(services.embeddings_folder, "small")


@pytest.fixture(scope="module")
def server(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("study")
    services = drawn_study(folder / "home", folder / "drawn", getattr(request.module, "NUM_SLIDES", 3))
    small_vectors(services)
    for name, role in PEOPLE.items():
        accounts.add_account(services.database, name, role, PASSWORD)
    services.database.close()
    running = Server(folder / "home")
    running.start()
    yield running
    running.kill()
    sys.stderr.write(running.log.read_text()[-3000:])


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or "chromium"
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def sign_in(browser, server):
    """Return a function that opens a signed-in window: `sign_in("ada", "/gallery", color_scheme="dark")`."""
    contexts = []

    def opened(name: str, path: str = "/", **options):
        options = {"viewport": {"width": 1440, "height": 900}, **options}
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{server.url}/login")
        page.fill("input[name=name]", name)
        page.fill("input[name=password]", PASSWORD)
        page.click("button")
        page.wait_for_url(lambda url: not url.endswith("/login"))
        if path != "/":
            page.goto(server.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(sign_in):
    opened = sign_in("ada")
    opened.wait_for_selector(".deck[data-cell]")
    return opened


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where the pictures of the pages for the docs lie."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS
