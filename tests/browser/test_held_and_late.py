"""Keys that are held, clicks that come early, and pages that are left while something is on its way."""

import pytest
from playwright.sync_api import expect

from app.components.source import joined
from tests.browser.conftest import SLIDE_READY, Held, give_back_all, next_on_slide, on_its_way
from tests.browser.test_slide_view import _settled

pytestmark = pytest.mark.browser
NUM_SLIDES = 2
LABELS = "**/api/v1/labels"
DECK = ".deck[data-cell][data-waiting='0']"
SLOW_DISK = """const open = IDBFactory.prototype.open;
IDBFactory.prototype.open = function (...asked) {
  const told = {};
  setTimeout(() => Object.assign(open.apply(this, asked), told), 900);
  return told;
};"""
RENEWED = """async () => {
  %s
  let answer;
  window.fetch = () => new Promise(done => { answer = done; });
  const on = { change() {}, receipts() {}, elsewhere() {} };
  const box = new Outbox({ name: "none", account: "none", url: "/none", csrf: "old", on });
  box.add({ key: "k", kind: "undo", label_key: "l" });
  box.send();
  box.renew("new");
  answer(new Response("{}", { status: 403 }));
  await new Promise(done => setTimeout(done, 50));
  box.destroy();
  localStorage.clear();
  return box.signedOut;
}"""


def test_enter_held_on_an_answer__answers_one_cell(sign_in, server) -> None:
    page = sign_in("ada")
    page.wait_for_selector(DECK)
    page.locator(".row").nth(4).focus()
    for _ in range(4):  # each but the first is a repetition
        page.keyboard.down("Enter")
        page.wait_for_selector(DECK)
    page.keyboard.up("Enter")
    page.wait_for_selector(".deck[data-acknowledged]:not([data-acknowledged='0'])")

    assert len(server.labels("ada")) == 1


def test_unsure_clicked_before_the_next_cell_is_seen__does_not_count_for_it(sign_in, server) -> None:
    page = sign_in("ben", "/settings")
    pictures = on_its_way(page, server.url, "**/api/v1/cells/*/image")
    page.get_by_role("button", name="Unsure").click()
    page.wait_for_selector("text=was not taken: the cell was not on screen yet.")
    expect(page.get_by_role("button", name="Unsure")).to_have_attribute("aria-pressed", "false")
    pictures.end()


def test_page_that_is_left_before_its_cells_come__gives_them_back(sign_in, server) -> None:
    page = sign_in("ben", "/progress")
    page.wait_for_selector("text=Research use only")
    cells = Held(page, "**/api/v1/worklist?*")
    page.get_by_role("link", name="Label", exact=True).click()
    cells.wait()
    page.get_by_role("link", name="Slides", exact=True).click()
    page.wait_for_selector(".cj-cards img")
    with page.expect_request("**/api/v1/release", timeout=20_000):
        cells.let_go()


def test_cell_whose_claim_was_refused__is_asked_for_again_by_a_click(sign_in, server) -> None:
    give_back_all(server)
    page = sign_in("ada", "/slide", reduced_motion="reduce")
    page.wait_for_selector(SLIDE_READY)
    page.route("**/claim", lambda route: route.fulfill(json={"item": None, "reason": "A colleague has it."}))
    page.keyboard.press("n")
    page.wait_for_selector("text=A colleague has it.")
    page.unroute("**/claim")
    page.mouse.click(*_settled(page))
    page.wait_for_selector(".slideview[data-claimed]", timeout=20_000)


def test_answer_refused_for_the_sign_in_before__does_not_count_for_the_new_one(sign_in) -> None:
    page = sign_in("vera", "/settings")
    page.wait_for_selector("text=Research use only")

    assert page.evaluate(RENEWED % joined("shared/base.js", "shared/disk.js", "shared/outbox.js")) is False


def test_undo_before_it_is_known_what_waits__takes_the_newest_back(sign_in, server) -> None:
    page = sign_in("vera")
    page.add_init_script(SLOW_DISK)
    for key in "12":
        page.wait_for_selector(DECK)
        cell = page.get_attribute(".deck", "data-cell")
        if key == "2":
            page.route(LABELS, lambda route: route.abort())
        page.keyboard.press(key)
        page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    page.reload()
    page.wait_for_selector(".deck .row")
    page.keyboard.press("z")
    page.wait_for_selector(f".deck[data-cell='{cell}']")


def test_slides_that_did_not_arrive__are_not_said_to_be_on_their_way_and_come_by_a_click(sign_in, server) -> None:
    give_back_all(server)
    page = sign_in("ada", "/settings")
    page.route("**/api/slides?*", lambda route: route.abort())
    page.goto(f"{server.url}/slide")
    page.wait_for_selector("text=The slide did not arrive.")
    page.keyboard.press("s")
    assert page.get_by_text("still on its way").count() == 0
    page.unroute("**/api/slides?*")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(SLIDE_READY)
    next_on_slide(page)
