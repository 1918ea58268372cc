"""Focal planes and the heat of suggestions, in a study of one field at four planes that shows suggestions first."""

import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from app.intake import take_in
from app.services import Services
from datasets import catalog
from datasets.crops import encode_png, read_own_png
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from datasets.finding import find_cells
from datasets.public import plan
from datasets.search_report import FindOptions
from datasets.stacks import as_stacks
from labeling import accounts, labels
from labeling.labels import LabelEvent
from tests.browser.conftest import PEOPLE, SLIDE_READY, small_vectors
from tests.browser_server import PASSWORD, Server
from tests.waiting import until

pytestmark = pytest.mark.browser
NOTE = "its scale of 0.635 um/px is taken, but its magnification of 40 means about 0.25 um/px"
PLANES, STEP_UM, SHARP = 4, 1.5, 2


def _stack_study(folder) -> Services:
    write_drawn_slides(folder / "drawn", seed=7, num_slides=1)
    field = read_own_png(sorted((folder / "drawn").rglob("*.png"))[0])
    (folder / "stack").mkdir()
    for n in range(PLANES):
        plane = field if n == SHARP else cv2.GaussianBlur(field, (0, 0), 1.8 * abs(n - SHARP))
        (folder / "stack" / f"plane{n}.png").write_bytes(encode_png(plane))
    services = Services.open(folder / "home")
    services = replace(services, settings=replace(services.settings, suggestions="shown"))
    services.settings.save(services.home)
    take_in(services, as_stacks(plan(folder / "stack"), STEP_UM), mpp=DRAWN_MPP)
    find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    with services.database.write() as session:
        scan = session.query(catalog.Scan).one()
        scan.info = {**scan.info, "notes": [NOTE]}
    small_vectors(services)
    return services


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    services = _stack_study(tmp_path_factory.mktemp("stack"))
    for name, role in PEOPLE.items():
        accounts.add_account(services.database, name, role, PASSWORD)
    cells = catalog.cell_ids(services.database)
    events = [
        LabelEvent(key=f"first{n}", cell_id=cell, category="HSIL" if n % 2 else "NILM")
        for n, cell in enumerate(cells[:8])
    ]
    labels.record(services.database, "vera", events, label_set=services.label_set)
    services.database.close()
    running = Server(services.home)
    running.start()
    yield running
    running.kill()
    sys.stderr.write(running.log.read_text()[-3000:])


def _variance(page, selector: str) -> float:
    """Return how sharp what a canvas shows is."""
    script = """canvas => {
      const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, row = 4 * canvas.width;
      let sum = 0, n = 0;
      for (let i = row + 4; i < d.length - row - 4; i += 4, n++) {
        const edge = 4 * d[i] - d[i - 4] - d[i + 4] - d[i - row] - d[i + row];
        sum += edge * edge;
      }
      return sum / n;
    }"""
    return page.locator(selector).first.evaluate(script)


def _at_rest(page, selector: str) -> float:
    """Return how sharp a canvas is once it is drawn, and not only in part: the same half a second later."""
    found = -1.0
    while found != (found := _variance(page, selector)) or found == 0:
        page.wait_for_timeout(500)
    return found


def test_two_keys_on_the_label_page__go_through_the_planes_of_the_cell(page) -> None:
    sharp = _variance(page, ".lens canvas")
    page.keyboard.press("j")
    page.wait_for_selector(f".deck[data-plane='{-STEP_UM}']")
    until(lambda: sharp > 1.3 * _variance(page, ".lens canvas"))
    page.keyboard.press("i")
    page.wait_for_selector(".deck[data-plane='0']")
    until(lambda: _variance(page, ".lens canvas") == sharp)
    page.keyboard.press("PageUp")
    page.wait_for_selector(f".deck[data-plane='{STEP_UM}']")
    page.locator(".tool", has_text="plane above").click()
    page.wait_for_selector("text=This is the highest plane")


def test_slides_page__shows_what_the_reader_of_a_scan_noticed(sign_in) -> None:
    sign_in("ada", "/slides").wait_for_selector(f".cj-cards :text('{NOTE}')")


def test_two_keys_on_the_slide__show_the_plane_above_and_below(sign_in) -> None:
    page = sign_in("ada", "/slide")
    page.wait_for_selector(f"{SLIDE_READY}[data-plane='0']")
    sharp = _at_rest(page, ".openseadragon-canvas canvas")
    page.keyboard.press("j")
    page.wait_for_selector(f".slideview[data-plane='{-STEP_UM}']")
    page.wait_for_selector("text=plane 2 of 4")
    until(lambda: _at_rest(page, ".openseadragon-canvas canvas") < 0.95 * sharp)
    page.keyboard.press("i")
    page.wait_for_selector("text=plane 3 of 4")
    until(lambda: _variance(page, ".openseadragon-canvas canvas") == pytest.approx(sharp, rel=0.01))


def test_plane_whose_tiles_are_on_their_way__is_said_not_to_be_sharp_yet(sign_in) -> None:
    page = sign_in("ada", "/slide")
    page.wait_for_selector(f"{SLIDE_READY}[data-plane='0']")
    waiting = []
    page.route("**/tile/**", lambda route: waiting.append(route))
    page.keyboard.press("j")
    page.keyboard.press("j")  # its tiles were not fetched ahead
    page.wait_for_selector("text=not sharp yet")
    for route in waiting:
        route.continue_()
    page.unroute("**/tile/**")
    expect(page.locator(".viewstate")).not_to_contain_text("not sharp yet")


def test_heat_of_suggestions__warms_the_slide_where_the_study_shows_them(sign_in, server) -> None:
    server.wait_for_probe()
    page = sign_in("ben", "/slide")
    page.wait_for_selector(SLIDE_READY)
    warm = """canvas => { const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i] > 150 && d[i + 2] < 90 && d[i + 3] > 20; return n; }"""
    page.keyboard.press("h")
    assert page.locator("canvas.rings").evaluate(warm) == 0
    page.keyboard.press("y")
    page.wait_for_selector(".slideview[data-heat='true']")
    until(lambda: page.locator("canvas.rings").evaluate(warm) > 500)
    page.keyboard.press("o")
    page.keyboard.press("h")
    page.wait_for_selector("text=Certainty of the suggestion")
    counted, cells = page.locator(".legend .entry small"), len(server.rows("SELECT id FROM cells"))
    until(lambda: np.sum([int(text) for text in counted.all_inner_texts()]) == cells)
