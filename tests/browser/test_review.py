"""Two answers for one cell, one verdict; only those who may see others' answers see them."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Held, script_over
from tests.waiting import until

pytestmark = pytest.mark.browser
NUM_SLIDES = 2


def test_review__verdict_is_stored_and_taken_back(sign_in, server) -> None:
    doctor = sign_in("ada")
    doctor.wait_for_selector(".deck[data-cell]")
    came = dict(server.rows("SELECT cell_id, category FROM labels WHERE annotator = 'imported'"))
    cell = doctor.get_attribute(".deck", "data-cell")
    while cell not in came:
        doctor.keyboard.press("U")
        doctor.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
        cell = doctor.get_attribute(".deck", "data-cell")
    doctor.keyboard.press("8" if came[cell] != "AIS" else "7")
    doctor.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])[data-waiting='0']")

    page = sign_in("vera", "/review")
    page.wait_for_selector(".review[data-loaded=true]")
    page.wait_for_selector("text=Nobody disagrees")
    page.check("input[type=checkbox]")
    page.wait_for_selector(f".review[data-cell='{cell}']")
    expect(page.locator(".opinion")).to_have_count(2)
    page.fill(".noteinput", "nucleus too large")
    page.press(".noteinput", "Enter")
    page.keyboard.press("4")
    page.wait_for_selector(".review[data-waiting='0'][data-open='0']")
    query = "SELECT cell_id, adjudicator, category, comment, json_array_length(label_ids) FROM verdicts"
    assert server.rows(query) == [(cell, "vera", "ASC-H", "nucleus too large", 2)]

    page.keyboard.press("z")
    page.wait_for_selector(".review[data-waiting='0'][data-open='1']")
    assert [row[2] for row in server.rows(query)] == ["ASC-H", None]


def test_verdict_given_while_the_list_is_read__stands_and_can_be_taken_back_when_it_has_left_the_list(
    sign_in, server
) -> None:
    page = sign_in("vera", "/review")
    page.wait_for_selector("text=Nobody disagrees")
    page.check("input[type=checkbox]")
    page.wait_for_selector(".review[data-cell][data-open='1']")
    read = Held(page, "**/api/cases?*", is_read=True)
    page.uncheck("input[type=checkbox]")
    page.check("input[type=checkbox]")
    read.wait(2)
    page.keyboard.press("4")
    page.wait_for_selector(".review[data-waiting='0'][data-open='0']")
    read.let_go(1)
    read.let_go(0)
    page.wait_for_load_state("networkidle")
    expect(page.locator(".review")).to_have_attribute("data-open", "0")
    expect(page.locator(".review")).to_have_attribute("data-cases", "1")

    read.end()
    page.uncheck("input[type=checkbox]")
    page.wait_for_selector("text=Nobody disagrees")
    page.keyboard.press("z")
    page.wait_for_selector("text=The verdict was taken back.")
    newest = "SELECT category FROM verdicts ORDER BY id DESC LIMIT 1"
    until(lambda: server.rows(newest) == [(None,)])


def test_annotator__sees_neither_page_nor_route_of_the_review(sign_in, server) -> None:
    page = sign_in("ada")
    page.wait_for_selector(".deck[data-cell]")
    script_over(page)

    assert page.request.get(f"{server.url}/api/cases").status == 403
    assert page.get_by_text("Review", exact=True).count() == 0


def _with_imported(sign_in):
    """Open the page at a case that the labels which came with the data make one."""
    page = sign_in("vera", "/review")
    page.wait_for_selector(".review[data-loaded=true]")
    if not page.is_checked("input[type=checkbox]"):
        page.check("input[type=checkbox]")
    page.wait_for_selector(".review[data-cell]")
    return page


def test_keys__are_buttons_in_the_list_and_below_the_cell_which_no_verdict_reaches_while_it_is_covered(sign_in) -> None:
    page = _with_imported(sign_in)
    still_open = page.get_attribute(".review", "data-open")
    page.keyboard.press("?")
    page.wait_for_selector(".sheet")
    page.keyboard.press("4")
    page.wait_for_selector("text=Key 4 was not taken: the cell was covered.")
    page.keyboard.press("?")
    page.locator(".keyline", has_text="haematoxylin alone").click()
    expect(page.locator(".sheet")).to_have_count(0)
    expect(page.locator(".viewstate")).to_contain_text("haematoxylin alone")
    page.locator(".tool", has_text="nucleus ring").click()
    expect(page.locator(".viewstate")).to_contain_text("ring")
    page.keyboard.press("k")
    page.wait_for_selector(".sheet.guide, .sheet .guide")

    assert page.get_attribute(".review", "data-open") == still_open


def test_arrows__move_a_slider_or_scroll_the_list_and_leave_the_case_with_its_reason(sign_in) -> None:
    page = _with_imported(sign_in)
    page.fill(".noteinput", "nucleus too large")
    page.press(".noteinput", "Enter")
    page.keyboard.press("t")
    slider = page.locator(".tone input").first
    before = slider.input_value()
    slider.press("ArrowRight")
    expect(slider).not_to_have_value(before)
    page.keyboard.press("?")
    page.wait_for_selector(".sheet")
    page.keyboard.press("ArrowRight")

    expect(page.locator(".noteinput")).to_have_value("nucleus too large")
