"""A real server and a real browser. Each file of tests has a study of its own."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright
from sqlalchemy import delete

from app.services import Services
from datasets import catalog
from datasets.crops import read_own_png
from datasets.embeddings import EmbeddingStore, set_current
from labeling import accounts
from labeling.records import Lease
from tests.browser_server import PASSWORD, Server
from tests.builders import add_findings, drawn_study

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PEOPLE = {"ada": "annotator", "ben": "annotator", "vera": "adjudicator", "root": "admin", "dora": "data-manager",
          "otto": "auditor"}  # fmt: skip
PATIENCE_MS = 150_000
SLIDE_READY = ".slideview[data-cells]:not([data-cells='']):not([data-painted=''])[data-painted]"
MOST_SHARED = 4
"""Studies of up to so many slides are copies of one."""
expect.set_options(timeout=PATIENCE_MS)
SHOTS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"


def small_vectors(services) -> None:
    """Give every cell a vector: its crop in small. Enough for likeness; no encoder is needed."""
    ids = catalog.cell_ids(services.database)
    crops = [read_own_png(catalog.crop_path(services.home, i)) for i in ids]
    vectors = np.stack([cv2.resize(crop, (8, 8), interpolation=cv2.INTER_AREA).ravel() / 255.0 for crop in crops])
    EmbeddingStore(services.embeddings_folder, "small").append(ids, vectors - vectors.mean(axis=0))
    set_current(services.embeddings_folder, "small")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Callable[[int], Path]:
    """Return a function that gives a folder with a study of its own: the pictures are drawn and taken in only once."""
    made: dict[int, Path] = {}

    def copy(num_slides: int) -> Path:
        number = max(num_slides, MOST_SHARED)
        if number not in made:
            made[number] = tmp_path_factory.mktemp("drawn")
            services = drawn_study(made[number] / "home", made[number] / "drawn", number)
            small_vectors(services)
            for name, role in PEOPLE.items():
                accounts.add_account(services.database, name, role, PASSWORD)
            services.database.close()
        folder = tmp_path_factory.mktemp("study")
        shutil.copytree(made[number], folder, dirs_exist_ok=True)
        return folder

    return copy


@pytest.fixture(scope="module")
def server(drawn, request):
    """`cytojepa serve` on drawn slides: `NUM_SLIDES` of the module at least, with findings where it says so."""
    folder = drawn(getattr(request.module, "NUM_SLIDES", 1))
    if getattr(request.module, "HAS_FINDINGS", False):
        add_findings(folder / "home", folder / "drawn")
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


def fill_door(page, name: str) -> None:
    """Sign in by the form that is on the screen."""
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", PASSWORD)
    page.click("button")


@pytest.fixture
def sign_in(browser, server):
    """Return a function that opens a signed-in window: `sign_in("ada", "/gallery", color_scheme="dark")`.

    Through the form of the sign-in to the first page; to another page without drawing the first one before.
    """
    contexts = []

    def opened(name: str, path: str = "/", **options):
        options = {"viewport": {"width": 1440, "height": 900}, **options}
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        if path != "/":
            told = page.request.post(f"{server.url}/login", form={"name": name, "password": PASSWORD}, max_redirects=0)
            assert told.status == 303
            page.goto(server.url + path)
            return page
        page.goto(f"{server.url}/login")
        fill_door(page, name)
        page.wait_for_url(lambda url: not url.endswith("/login"))
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(sign_in):
    opened = sign_in("ada")
    opened.wait_for_selector(".deck[data-cell]")
    return opened


def give_back_all(server) -> None:
    """Free the cells that pages of earlier tests still hold: the nearest one of a slide may be among them."""
    services = Services.open(server.home)
    with services.database.write() as session:
        session.execute(delete(Lease))
    services.database.close()


@pytest.fixture
def slide(sign_in, server):
    give_back_all(server)
    opened = sign_in("ada", "/slide")
    opened.wait_for_selector(SLIDE_READY)
    return opened


def next_on_slide(page) -> str:
    """Go to the nearest open cell of the slide view by keyboard; return it once it may be answered."""
    before = page.get_attribute(".slideview", "data-claimed")
    page.keyboard.press("n")
    page.wait_for_selector(f".slideview[data-claimed]:not([data-claimed='{before}'])")
    return page.get_attribute(".slideview", "data-claimed")


class Held:
    """Requests of a page that wait until the test lets them go, in the order in which they were sent.

    Args:
        page: Whose requests.
        pattern: Of their addresses.
        is_read: The server answers at once, and its answer waits: it is older than what happens meanwhile.
    """

    def __init__(self, page, pattern: str, *, is_read: bool = False) -> None:
        self._page, self._pattern, self._is_read = page, pattern, is_read
        self.found: list = []
        page.route(pattern, self._take)

    def _take(self, route) -> None:
        self.found.append((route, None))
        if self._is_read:
            self.read(len(self.found) - 1)

    def read(self, which: int = 0) -> None:
        """Let the server answer one now, whose answer waits from here on."""
        route, _ = self.found[which]
        self.found[which] = (route, route.fetch())

    def wait(self, number: int = 1) -> None:
        """Wait until so many have been sent, and answered where they are read."""
        while len(self.found) < number or (self._is_read and not all(answer for _, answer in self.found)):
            self._page.wait_for_timeout(30)

    def let_go(self, which: int = 0) -> None:
        """Let one go, and wait until its answer has reached the page."""
        route, answer = self.found[which]
        with self._page.expect_response(lambda response: response.request == route.request):
            if answer is None:
                route.continue_()
            else:
                route.fulfill(response=answer)
        self._page.evaluate("() => new Promise(done => setTimeout(done, 100))")  # handled, not only here

    def end(self) -> None:
        """Let later ones pass."""
        self._page.unroute(self._pattern)


def on_its_way(page, url: str, pattern: str) -> Held:
    """Go to a page and hold what it asks for; return that once the page has asked."""
    held = Held(page, pattern)
    page.goto(url)
    held.wait()
    return held


def script_over(page) -> None:
    """Wait until Streamlit has drawn all of a page: only then it can be said what is not on it."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where the pictures of the pages for the docs lie."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS
