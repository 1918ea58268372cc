"""A doctor labels in a real browser; nothing is lost, nothing lands on the wrong cell."""

import pytest
from playwright.sync_api import expect
from sqlalchemy import delete

from app.services import Services
from labeling import orders
from labeling.orders import Order
from labeling.records import Lease

pytestmark = pytest.mark.browser
NUM_SLIDES = 4
KEYS = {"1": "NILM", "3": "LSIL", "5": "HSIL", "U": "cannot-tell"}
ALL_SAVED = ".deck[data-waiting='0']"
LABELS, RECENT = "**/api/v1/labels", "**/api/v1/recent?**"


def _press(page, number: int) -> list[tuple[str, str]]:
    """Answer cells by keyboard, each as soon as it is on screen; return what was on screen."""
    answered = []
    for index in range(number):
        key, category = list(KEYS.items())[index % len(KEYS)]
        cell = page.get_attribute(".deck", "data-cell")
        answered.append((cell, category))
        page.keyboard.press(key)
        page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    return answered


def _has_ahead(page, number: int) -> None:
    """Wait until the pictures of the next cells are here: without the server only those can be answered."""
    page.wait_for_selector(".deck[data-cell]")
    coming = page.locator(".card.next img")
    expect(coming.nth(number - 1)).to_be_attached()
    for index in range(number):
        expect(coming.nth(index)).to_have_js_property("complete", True)


def _standing(server) -> list[tuple[str, str]]:
    return server.rows(
        "SELECT cell_id, category FROM labels WHERE annotator = 'ada' "
        "AND id NOT IN (SELECT label_id FROM undos) ORDER BY id"
    )


def test_forty_cells_by_keyboard__are_forty_right_rows(page, server) -> None:
    answered = _press(page, 40)
    page.wait_for_selector(ALL_SAVED)

    assert server.labels("ada") == answered
    assert len({cell for cell, _ in answered}) == 40
    assert page.get_attribute(".deck", "data-taken") == page.get_attribute(".deck", "data-acknowledged") == "40"


def test_own_choice__holds_over_a_reload_ends_with_one_click_and_says_when_nothing_is_left(page, server) -> None:
    slide_of = dict(server.rows("SELECT id, slide_id FROM cells"))  # the tests after this leave cells on few of them
    was = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("a")
    page.wait_for_selector(".whichpanel select[name=slides] option:nth-child(3)", state="attached")
    values = page.eval_on_selector_all(".whichpanel select[name=slides] option", "all => all.map(o => o.value)")
    slide = next(value for value in values if value not in ("", slide_of[was]))
    page.select_option(".whichpanel select[name=slides]", slide)
    page.wait_for_selector(f".deck[data-which='{slide}'][data-cell]:not([data-cell='{was}'])")
    page.wait_for_selector(f".choose >> text=/[0-9]+ left: {slide}/")
    page.keyboard.press("Escape")
    page.wait_for_selector(".whichpanel", state="detached")
    answered = _press(page, 3)
    page.wait_for_selector(ALL_SAVED)
    page.reload()
    page.wait_for_selector(f".deck[data-which='{slide}'][data-cell]")
    answered.append((page.get_attribute(".deck", "data-cell"), ""))
    assert {slide_of[cell] for cell, _ in answered} == {slide}
    assert page.locator(".whichpanel select[name=suggested]").count() == 0

    page.evaluate("localStorage.setItem('cytojepa/which/ada', '{\"slides\": \"SL-GONE\"}')")
    page.reload()
    page.wait_for_selector("text=Of these cells nothing is left for you.")
    page.click(".message >> text=All cells again")
    page.wait_for_selector(".deck[data-cell]:not([data-which])")
    page.wait_for_selector(ALL_SAVED)


def test_undo__reaches_across_reloads_step_by_step_and_redo_puts_back(page, server) -> None:
    before = _standing(server)
    answered = _press(page, 3)
    page.wait_for_selector(ALL_SAVED)
    page.reload()
    page.wait_for_selector(".card.last")
    page.wait_for_selector(".deck[data-cell]")
    for cell, _ in reversed(answered):
        page.keyboard.press("z")
        page.wait_for_selector(f".deck[data-cell='{cell}']")
    page.wait_for_selector(ALL_SAVED)
    assert _standing(server) == before

    page.reload()
    page.wait_for_selector(".deck[data-cell]")
    page.wait_for_selector(".card.last")
    for _ in answered:
        page.keyboard.press("Shift+Z")
    page.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='3']")
    assert _standing(server) == [*before, *answered]


def test_parent_answer_confidence_and_comment__are_stored_with_the_label(page, server) -> None:
    page.keyboard.press("d")
    page.keyboard.type("two nuclei, 3 times")
    page.keyboard.press("Enter")
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("Shift+Q")
    page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    page.wait_for_selector(ALL_SAVED)

    query = f"SELECT category, confidence, comment FROM labels WHERE cell_id = '{cell}' AND annotator = 'ada'"
    assert server.rows(query) == [("squamous-abnormal", "unsure", "two nuclei, 3 times")]


def test_key_on_a_covered_cell__is_not_taken(page, server) -> None:
    before, cell = server.labels("ada"), page.get_attribute(".deck", "data-cell")
    page.keyboard.press("?")
    page.wait_for_selector(".sheet")
    page.keyboard.press("5")
    page.wait_for_selector("text=Key 5 was not taken")

    assert page.get_attribute(".deck", "data-cell") == cell
    assert server.labels("ada") == before


def test_five_seconds_offline_and_a_reload__lose_and_double_nothing(page, server) -> None:
    before = server.labels("ada")
    answered = _press(page, 2)
    page.wait_for_selector(ALL_SAVED)
    _has_ahead(page, 4)
    page.context.set_offline(True)
    answered += _press(page, 4)
    page.wait_for_selector("text=NOT SAVED: 4 waiting")
    page.wait_for_timeout(5000)
    assert server.labels("ada") == before + answered[:2]
    page.context.set_offline(False)
    page.wait_for_selector(ALL_SAVED)
    assert server.labels("ada") == before + answered

    page.route(LABELS, lambda route: route.fulfill(status=507, json={"error": "full"}))
    answered += _press(page, 3)
    page.wait_for_selector("text=NOT SAVED: 3 waiting")
    page.wait_for_selector("text=The disk of the study is full or broken: answers are kept in this browser")
    page.unroute(LABELS)
    page.reload()
    page.wait_for_selector(f"{ALL_SAVED}[data-cell]")
    assert server.labels("ada") == before + answered


def test_undo_after_a_reload__takes_back_the_answer_that_was_still_on_its_way(page, server) -> None:
    ((earlier, _),) = _press(page, 1)
    page.wait_for_selector(ALL_SAVED)
    page.route(LABELS, lambda route: route.abort())
    ((last, _),) = _press(page, 1)
    page.reload()
    page.wait_for_selector(".deck[data-cell]")
    page.wait_for_selector(".card[data-state=saved]")  # the server's steps are here, without the last one
    page.unroute(LABELS)
    page.wait_for_selector(ALL_SAVED)
    for cell in (last, earlier):
        page.keyboard.press("z")
        page.wait_for_selector(f".deck[data-cell='{cell}']")
    page.wait_for_selector(ALL_SAVED)

    assert not {last, earlier} & dict(_standing(server)).keys()


def test_undo_while_earlier_steps_are_read__does_not_come_back(sign_in, server) -> None:
    page = sign_in("vera")
    page.wait_for_selector(".deck[data-cell]")
    ((cell, _),) = _press(page, 1)
    page.wait_for_selector(ALL_SAVED)
    asked = []
    page.route(RECENT, lambda route: asked.append((route, route.fetch())))
    page.route(LABELS, lambda route: route.abort())
    page.keyboard.press("z")  # without a step left the page asks for earlier ones, and is told this one
    page.wait_for_selector(f".deck[data-cell='{cell}']")
    while not asked:
        page.wait_for_timeout(50)
    page.unroute(LABELS)
    page.wait_for_selector(ALL_SAVED)
    _press(page, 1)
    page.wait_for_selector(ALL_SAVED)
    ((route, read),) = asked
    with page.expect_response(RECENT):
        route.fulfill(response=read)
    page.unroute(RECENT)
    page.keyboard.press("z")
    page.wait_for_selector(f".deck[data-cell='{cell}']")
    page.wait_for_selector(ALL_SAVED)
    page.keyboard.press("z")
    page.wait_for_selector("text=There is nothing more to take back.")

    assert [found for found, _ in server.labels("vera")] == [cell, cell]
    assert len(server.rows("SELECT id FROM undos WHERE annotator = 'vera'")) == 2


def test_two_windows_of_one_account__ask_for_different_cells_and_double_nothing(page, server) -> None:
    before = server.labels("ada")
    other = page.context.new_page()
    other.goto(server.url)
    other.wait_for_selector(".deck[data-cell]")
    answered = []
    for _ in range(5):
        for window in (page, other):
            window.bring_to_front()
            window.wait_for_selector(".deck[data-cell]")
            assert len({each.get_attribute(".deck[data-cell]", "data-cell") for each in (page, other)}) == 2
            answered += _press(window, 1)
    for window in (page, other):
        window.wait_for_selector(ALL_SAVED)

    assert sorted(server.labels("ada")[len(before) :]) == sorted(answered)
    assert len({cell for cell, _ in answered}) == 10


def test_label_kept_by_a_closed_window__is_sent_by_the_next(page, server) -> None:
    before = server.labels("ada")
    page.route(LABELS, lambda route: route.abort())
    answered = _press(page, 2)
    page.wait_for_selector("text=NOT SAVED: 2 waiting")
    other = page.context.new_page()
    page.close()
    other.goto(server.url)
    other.wait_for_selector(f"{ALL_SAVED}[data-cell]")

    assert server.labels("ada") == before + answered


def test_kill_9__loses_no_acknowledged_label_and_doubles_none(page, server) -> None:
    before = server.labels("ada")
    answered = _press(page, 5)
    page.wait_for_selector(ALL_SAVED)
    _has_ahead(page, 3)
    server.kill()
    answered += _press(page, 3)
    page.wait_for_selector("text=NOT SAVED")
    server.start()
    page.wait_for_selector(ALL_SAVED)

    assert server.labels("ada") == before + answered


def test_new_order__reaches_within_a_few_cells_a_deck_that_was_full_before_it(sign_in, server) -> None:
    services = Services.open_existing(server.home)
    with services.database.write() as session:
        # A quick machine makes fast hands: what the closed windows of ada hold is then nearly all of these few cells.
        session.execute(delete(Lease))
    page = sign_in("ben")
    page.wait_for_selector(".deck[data-cell]")
    answered = _press(page, 4)
    page.wait_for_selector(ALL_SAVED)
    taken = "SELECT cell_id FROM labels WHERE annotator <> 'imported' UNION SELECT cell_id FROM leases"
    slide = server.rows(f"SELECT slide_id FROM cells WHERE id NOT IN ({taken}) GROUP BY 1 ORDER BY count(*) DESC")[0]
    orders.give(services.database, Order(first_slides=slide), by="dora", label_set=services.label_set)
    ordered = "reason = 'its slide comes first in this study'"
    # A refit that was still to come from the answers does not know the order.
    server.wait_for_rows(f"SELECT cell_id FROM worklist_items WHERE {ordered}")
    answered += _press(page, 1)
    server.wait_for_rows(f"SELECT cell_id FROM leases WHERE annotator = 'ben' AND {ordered}")
    whys = [page.inner_text(".why")]
    while "its slide comes first" not in whys[-1] and len(whys) < 9:
        answered += _press(page, 1)
        whys.append(page.inner_text(".why"))
    page.wait_for_selector(ALL_SAVED)
    orders.give(services.database, Order(), by="dora", label_set=services.label_set)
    services.database.close()

    free = server.rows(f"SELECT slide_id, count(*) FROM cells WHERE id NOT IN ({taken}) GROUP BY 1")
    assert len(whys) < 9, f"a full deck holds twelve; {slide=}, {free=}, {whys=}"
    assert server.labels("ben") == answered
    assert len(dict(answered)) == len(answered)


def test_picture_that_does_not_come__leaves_no_answered_cell_on_screen(sign_in, server) -> None:
    page = sign_in("vera")
    page.wait_for_selector(".deck[data-cell]")
    before = len(server.labels("vera"))
    page.route("**/image", lambda route: route.abort())
    cell = page.get_attribute(".deck", "data-cell")
    while cell is not None:
        page.keyboard.press("1")
        page.wait_for_selector(f".deck:not([data-cell='{cell}'])")
        cell = page.get_attribute(".deck", "data-cell")
    page.wait_for_selector("text=Fetching the next cells")
    page.keyboard.press("1")
    page.wait_for_selector("text=Key 1 was not taken: the cell was not on screen yet.")
    page.unroute("**/image")
    page.wait_for_selector(".deck[data-cell]")
    page.wait_for_selector(ALL_SAVED)
    assert int(page.get_attribute(".deck", "data-ignored")) == 1
    assert int(page.get_attribute(".deck", "data-taken")) == len(server.labels("vera")) - before > 0
