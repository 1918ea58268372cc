"""Sign-ins that change beside an open page: nothing goes out under another name, and a page goes on by itself."""

import pytest

from tests.browser.conftest import fill_door
from tests.browser.test_own_settings import _forty_minutes_later

pytestmark = pytest.mark.browser
NUM_SLIDES = 2
LABELS = "**/api/v1/labels"


def test_other_account_in_another_window__gets_none_of_the_answers_that_wait(sign_in, server) -> None:
    page = sign_in("ada")
    page.wait_for_selector(".deck[data-cell]")
    cell = page.get_attribute(".deck", "data-cell")
    page.route(LABELS, lambda route: route.abort())
    page.keyboard.press("5")
    page.wait_for_selector(".deck[data-waiting='1']")
    other = page.context.new_page()
    other.goto(f"{server.url}/logout")
    fill_door(other, "ben")
    other.wait_for_selector(".deck[data-cell]")
    page.bring_to_front()
    page.unroute(LABELS)
    page.wait_for_selector(".who >> text=ben")
    page.wait_for_selector(".deck[data-cell][data-waiting='0']")
    theirs = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("1")
    page.wait_for_selector(f".deck[data-waiting='0']:not([data-cell='{theirs}'])")
    assert (server.labels("ada"), server.labels("ben")) == ([], [(theirs, "NILM")])

    other.goto(f"{server.url}/logout")
    fill_door(other, "ada")
    other.wait_for_selector(".deck[data-cell][data-waiting='0']")
    assert server.labels("ada") == [(cell, "HSIL")]


def test_sign_in_again_in_another_window__lets_the_first_go_on(sign_in, server) -> None:
    page = sign_in("vera", "/gallery")
    tile = page.locator(".tile").first
    tile.click()
    _forty_minutes_later(server)
    page.wait_for_selector(".notice:has-text('Signed out. No answer is waiting') >> text=sign in again")
    other = page.context.new_page()
    other.goto(f"{server.url}/login")
    fill_door(other, "vera")
    other.wait_for_url(lambda url: not url.endswith("/login"))
    page.bring_to_front()
    page.wait_for_selector(".notice:has-text('Signed out.')", state="hidden")
    page.keyboard.press("5")
    page.wait_for_selector(".gallery[data-acknowledged='1']")

    assert server.labels("vera") == [(tile.get_attribute("data-cell"), "HSIL")]


def test_browser_that_keeps_nothing__is_not_said_to(sign_in, server) -> None:
    page = sign_in("vera", "/gallery")
    page.wait_for_selector(".tile")
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new DOMException('full'); }; }")
    page.route(LABELS, lambda route: route.abort())
    page.locator(".tile").last.click()
    page.keyboard.press("5")
    page.wait_for_selector("text=This browser does not let the page keep unsaved answers")
    page.unroute(LABELS)
    page.route(LABELS, lambda route: route.fulfill(status=401, json={"error": "Signed out."}))
    page.wait_for_selector("text=Signed out, and this browser does not let the page keep unsaved answers.")
    assert page.get_by_text("kept in this browser").count() == 0
    page.unroute(LABELS)
