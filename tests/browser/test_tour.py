"""The tour: every step by its key, on drawn cells, without a trace in the study."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import script_over
from tests.waiting import until

pytestmark = pytest.mark.browser
NUM_SLIDES = 1

# The ring is seen for little more than a second: noted in the page itself, lest a busy machine looks too late.
RING_TO_COME = """tour => { tour.ringCame = new Promise(resolve => {
  new MutationObserver(() => { if (tour.querySelector('.ruler circle.one')) resolve(true); })
    .observe(tour, { childList: true, subtree: true });
}); }"""


def _step(page, number: int) -> None:
    page.wait_for_selector(f".tour[data-step='{number}']")


def _rows(server) -> list[tuple]:
    return [server.rows(f"SELECT count(*) FROM {table}") for table in ("labels", "undos", "assignments", "leases")]


def test_tour__is_offered_goes_step_by_step_and_writes_nothing(sign_in, server, shots) -> None:
    page = sign_in("ada")
    page.wait_for_selector(".deck[data-cell]")
    page.click(".notice .tourlink")
    _step(page, 0)
    until(lambda: server.rows("SELECT count(*) FROM leases") == [(4,)])  # the deck has given back what nobody has seen
    before = _rows(server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("1")
    _step(page, 1)
    expect(page.locator(".words")).not_to_contain_text("Suggestion")
    page.keyboard.press("3")
    _step(page, 2)
    expect(page.locator(".words")).to_contain_text("You: LSIL")
    expect(page.locator(".words")).to_contain_text("Suggestion:")
    page.screenshot(path=shots / "tour.jpg", type="jpeg", quality=82)
    page.keyboard.press("5")
    assert page.get_attribute(".tour", "data-step") == "2"
    page.keyboard.press("z")
    _step(page, 3)
    page.keyboard.down("f")
    page.wait_for_selector(".tour .stage.wide")
    page.keyboard.up("f")
    _step(page, 4)
    page.locator(".tour").evaluate(RING_TO_COME)
    page.keyboard.press("m")
    assert page.locator(".tour").evaluate("tour => tour.ringCame")
    _step(page, 5)
    page.keyboard.press("e")
    _step(page, 6)
    page.keyboard.press("2")
    assert page.get_attribute(".tour", "data-step") == "6"
    page.keyboard.press("u")
    _step(page, 7)
    expect(page.locator(".words")).to_contain_text("That is all")

    assert [url for url in asked if "/api/" in url] == []
    assert _rows(server) == before


def test_tour__can_be_skipped_put_away_and_taken_again(sign_in, server) -> None:
    page = sign_in("ben", "/tour")
    _step(page, 0)
    page.click(".tour .skip")
    page.wait_for_selector(".deck[data-cell]")
    page.click(".notice button")
    page.wait_for_selector(".notice .tourlink", state="detached")
    page.reload()
    page.wait_for_selector(".deck[data-cell][data-waiting='0']")
    assert page.locator(".notice .tourlink").count() == 0
    page.keyboard.press("?")
    page.click(".sheet .tourlink")
    _step(page, 0)


def test_tour__is_for_those_who_label(sign_in, server) -> None:
    page = sign_in("root", "/tour")
    page.wait_for_selector(".tour[data-step='0']")
    script_over(page)
    assert page.get_by_test_id("stTopNavLink").filter(has_text="Tour").count() == 0
