"""Own keys and language hold on every page; keys with two meanings are refused; breaks and long absences."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from app.services import Services
from datasets.db import utc_now
from labeling.records import SignIn
from tests.browser.conftest import fill_door, give_back_all, script_over
from tests.browser_server import PASSWORD

pytestmark = pytest.mark.browser
NUM_SLIDES = 2
NEW = "quite another one"


def _set_key(page, name: str, key: str) -> None:
    script_over(page)  # what is typed while the page is drawn anew can be overwritten
    page.get_by_label(name, exact=True).fill(key)
    page.get_by_role("button", name="Keep these keys").click()


def test_own_keys__answer_and_are_shown_and_conflicts_are_refused(sign_in, server) -> None:
    page = sign_in("ada", "/settings")
    _set_key(page, "HSIL", "4")
    page.wait_for_selector("text=would mean both")
    _set_key(page, "HSIL", "g")
    page.wait_for_selector("text=Kept.")
    page.goto(server.url)
    page.wait_for_selector(".deck[data-cell]")
    expect(page.locator(".row[data-category=HSIL] kbd")).to_have_text("G")
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("5")
    page.keyboard.press("g")
    page.wait_for_selector(f".deck:not([data-cell='{cell}'])[data-waiting='0']")
    assert server.labels("ada") == [(cell, "HSIL")]
    page.keyboard.press("?")
    page.wait_for_selector(".sheet >> text=HSIL: High grade")

    page = sign_in("ben")
    page.wait_for_selector(".deck[data-cell]")
    expect(page.locator(".row[data-category=HSIL] kbd")).to_have_text("5")


def test_german__by_the_browser_and_by_choice(sign_in, server) -> None:
    page = sign_in("vera", locale="de-DE")
    page.wait_for_selector(".deck[data-cell]")
    page.wait_for_selector("text=Alles gespeichert")
    page.wait_for_selector(".row >> text=Nicht beurteilbar")
    expect(page.locator(".deck")).to_have_attribute("lang", "de")
    page.wait_for_selector(".why >> text=/Warum diese Zelle: (typisch|als nächste)/")
    page = sign_in("root", "/settings")
    page.get_by_label("Language").click()
    page.get_by_role("option", name="Deutsch").click()
    page.wait_for_selector("text=Diese Tasten speichern")
    page.goto(f"{server.url}/gallery")
    page.wait_for_selector("text=Welche davon gehören nicht zu den anderen?")


def test_own_password__is_changed_and_the_page_goes_on(sign_in) -> None:
    page = sign_in("otto", "/settings")
    for label, text in (("Password until now", PASSWORD), ("New password", NEW), ("New password, once more", NEW)):
        script_over(page)
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Change the password").click()
    page.wait_for_selector("text=The password is changed")


def test_pause__is_offered_after_25_minutes_of_labelling_and_not_before(sign_in) -> None:
    page = sign_in("ben")
    page.wait_for_selector(".deck[data-cell]")
    # The clock stands: on a busy machine the test's own seconds would count.
    page.evaluate("() => { const now = Date.now(); window.later = 0; Date.now = () => now + window.later; }")

    def answer(minutes: int) -> None:
        cell = page.get_attribute(".deck", "data-cell")
        page.evaluate("minutes => { window.later += minutes * 60000; }", minutes)
        page.keyboard.press("1")
        page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")

    for minutes in (0, 4, 4, 4, 4, 4, 4):
        answer(minutes)
    assert page.locator(".notice.calm >> text=25 minutes").count() == 0
    answer(2)
    page.wait_for_selector(".notice.calm >> text=25 minutes")
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector(".notice.calm", state="hidden")


def test_sign_out__forgets_the_pictures_and_keeps_what_waits(sign_in, server) -> None:
    page = sign_in("ben")
    page.wait_for_selector(".deck[data-cell]")
    picture = f"{server.url}/api/v1/cells/{page.get_attribute('.deck', 'data-cell')}/image"
    cookies = page.context.cookies()
    page.context.clear_cookies()
    assert page.goto(picture).headers["content-type"] == "image/png"  # from the browser's cache: the server refuses

    page.context.add_cookies(cookies)
    page.goto(server.url)
    page.wait_for_selector(".deck[data-cell]")
    before, cell = server.labels("ben"), page.get_attribute(".deck", "data-cell")
    page.route("**/api/v1/labels", lambda route: route.abort())
    page.keyboard.press("1")
    page.wait_for_selector(".deck[data-waiting='1']")
    page.goto(f"{server.url}/logout")
    page.unroute("**/api/v1/labels")
    assert page.goto(picture).headers["content-type"] != "image/png"

    page.goto(server.url)
    fill_door(page, "ben")
    page.wait_for_selector(".deck[data-cell][data-waiting='0']")
    assert server.labels("ben") == [*before, (cell, "NILM")]


def _forty_minutes_later(server) -> None:
    services = Services.open(server.home)
    with services.database.write() as session:
        session.execute(update(SignIn).values(seen_at=utc_now() - timedelta(minutes=40)))
    services.database.close()


@pytest.mark.parametrize("path", ["/gallery", "/slide"])
def test_forty_minutes_away__what_is_unfinished_stays_on_the_screen(sign_in, server, path) -> None:
    page = sign_in("ben", path)
    if path == "/gallery":
        page.locator(".tile").first.click()
    else:
        page.wait_for_selector(".slideview[data-cells]:not([data-cells=''])")
        page.keyboard.press("s")
        page.get_by_label("Comment on the slide").fill("few cells")
        page.get_by_role("button", name="Close").click()
    _forty_minutes_later(server)
    page.wait_for_selector(".notice:has-text('Signed out.') >> text=sign in again")

    assert page.url == server.url + path


def test_forty_minutes_away__lead_to_the_door_and_back_to_the_page_with_the_answer(sign_in, server) -> None:
    give_back_all(server)
    before = server.labels("ben")
    page = sign_in("ben", "/slide")
    page.wait_for_selector(".slideview[data-cells]:not([data-cells=''])")
    page.keyboard.press("n")
    page.wait_for_selector(".slideview[data-claimed]")
    cell = page.get_attribute(".slideview", "data-claimed")
    _forty_minutes_later(server)
    page.keyboard.press("1")
    page.wait_for_url("**/login?*locked=1")
    page.wait_for_selector("text=What you have answered is kept")
    fill_door(page, "ben")
    page.wait_for_selector(".slideview[data-waiting='0']")

    assert page.url == f"{server.url}/slide"
    assert server.labels("ben") == [*before, (cell, "NILM")]
