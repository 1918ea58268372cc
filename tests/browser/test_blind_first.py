"""The suggestion appears after the answer, also for cells fetched before there was one; known cells in a sweep."""

import pytest
from playwright.sync_api import expect

from labeling.mixture import FOIL_REASON
from tests.browser.conftest import Held

pytestmark = pytest.mark.browser
NUM_SLIDES = 4


def _answer(page, key: str) -> str:
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press(key)
    page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    page.wait_for_selector(".deck[data-waiting='0']")
    return cell


def test_cell_fetched_before_the_first_probe__tells_its_suggestion_after_the_answer(sign_in, server) -> None:
    page = sign_in("ada")
    page.wait_for_selector(".deck[data-cell]")
    _answer(page, "1")
    page.wait_for_selector(".last >> text=none yet")
    _answer(page, "5")
    server.wait_for_probe()
    cell = _answer(page, "3")
    page.wait_for_selector(".last >> text=/Suggestion: (NILM|HSIL) /")
    named, shown, probe = server.rows(
        f"SELECT suggestion, suggestion_shown, probe_id FROM labels WHERE cell_id = '{cell}' AND annotator = 'ada'"
    )[0]
    assert (named in ("NILM", "HSIL"), shown, bool(probe)) == (True, 0, True)

    page.keyboard.press("z")
    page.wait_for_selector(f".deck[data-cell='{cell}']")
    page.keyboard.press({"NILM": "1", "HSIL": "5"}[named])
    page.wait_for_selector(f".deck:not([data-cell='{cell}'])[data-waiting='0']")
    page = sign_in("otto", "/bias")
    page.wait_for_selector("text=1 of 1: 100 %")
    page.wait_for_selector("text=too few to say")


def test_known_cells_in_a_careless_sweep__are_told_and_marked(sign_in, server) -> None:
    if not server.rows("SELECT count(*) FROM probes")[0][0]:
        page = sign_in("ada")
        page.wait_for_selector(".deck[data-cell]")
        _answer(page, "1")
        _answer(page, "5")
        server.wait_for_probe()
    page = sign_in("ben", "/gallery")
    page.wait_for_selector(".gallery[data-ready]:not([data-ready='0'])")
    page.keyboard.press("a")
    page.keyboard.press("1")
    page.wait_for_selector(".gallery[data-waiting='0'][data-open='0']")
    page.wait_for_selector("text=/known cells? among these/")
    swept = f"FROM labels WHERE annotator = 'ben' AND reason = '{FOIL_REASON}'"
    known = "SELECT cell_id FROM labels WHERE annotator = 'imported' AND category <> 'NILM'"

    assert server.rows(f"SELECT count(*) {swept}")[0][0] > 0
    told = server.rows(f"SELECT count(*) {swept} AND cell_id IN ({known})")[0][0]
    expect(page.locator(".tile.foil")).to_have_count(told)


def test_cells_that_were_asked_for_before_an_answer__neither_bring_its_cell_back_nor_count_it_off(sign_in) -> None:
    page = sign_in("vera")
    page.wait_for_selector(".deck[data-cell]")
    cell = _answer(page, "1")
    asked = Held(page, "**/api/v1/worklist?**")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    asked.wait()
    page.keyboard.press("z")
    page.wait_for_selector(f".deck[data-waiting='0'][data-cell='{cell}']")
    asked.read()
    _answer(page, "3")
    page.wait_for_selector(".count >> text=1 yours")
    asked.let_go()
    page.wait_for_load_state("networkidle")

    expect(page.locator(".card.next").first).to_be_attached()
    assert page.locator(f".card.next img[src*='{cell}'], .card.now img[src*='{cell}']").count() == 0
    assert page.locator(".count").inner_text().startswith("1 yours")
