"""Many cells at once: chosen with keys or mouse, answered in one step, taken back in one step."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Held
from tests.waiting import until

pytestmark = pytest.mark.browser
NUM_SLIDES = 6
SAVED = ".gallery[data-waiting='0']"
READY = ".gallery[data-ready]:not([data-ready='0'])"


def _standing(server, name: str) -> int:
    query = f"SELECT count(*) FROM labels WHERE annotator = '{name}' AND id NOT IN (SELECT label_id FROM undos)"
    return server.rows(query)[0][0]


def test_sixty_cells__one_answer_one_undo_also_from_focus_mode(sign_in, server) -> None:
    page = sign_in("ada", "/gallery")
    page.wait_for_selector(".gallery[data-ready='120']")
    expect(page.locator(".tile")).to_have_count(120)
    page.locator(".tile").nth(0).click()
    page.locator(".tile").nth(59).click(modifiers=["Shift"])
    expect(page.locator(".tile.chosen")).to_have_count(60)
    chosen = page.locator(".tile.chosen").evaluate_all("tiles => tiles.map(t => t.dataset.cell)")
    page.keyboard.press("1")
    page.wait_for_selector(f"{SAVED}[data-open='60']")
    assert sorted(server.labels("ada")) == sorted((cell, "NILM") for cell in chosen)
    assert len(server.rows("SELECT DISTINCT step FROM labels WHERE annotator = 'ada'")) == 1

    page.keyboard.press("z")
    page.wait_for_selector(f"{SAVED}[data-open='120']")
    assert _standing(server, "ada") == 0
    page.keyboard.press("Shift+Z")
    page.wait_for_selector(f"{SAVED}[data-open='60']")
    assert _standing(server, "ada") == 60

    page.goto(server.url)
    page.wait_for_selector(".card.last")
    page.keyboard.press("z")
    page.wait_for_selector("text=60 labels of one step")
    page.wait_for_selector(".deck[data-waiting='0']")
    until(lambda: _standing(server, "ada") == 0)


def test_choice_without_an_answer__is_left_behind_at_the_second_press(sign_in) -> None:
    page = sign_in("vera", "/gallery")
    page.wait_for_selector(READY)
    before = page.locator(".tile").evaluate_all("tiles => tiles.map(t => t.dataset.cell)")
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Chosen without an answer: 1. \u21b5 once more leaves them behind.")
    page.wait_for_selector(".gallery[data-chosen='1']")
    assert page.locator(".tile").evaluate_all("tiles => tiles.map(t => t.dataset.cell)") == before
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{READY}[data-chosen='0']")
    until(lambda: page.locator(".tile").evaluate_all("tiles => tiles.map(t => t.dataset.cell)") != before)


def test_keyboard_alone__chooses_the_odd_ones_then_the_rest(sign_in, server) -> None:
    page = sign_in("ben", "/gallery")
    page.wait_for_selector(READY)
    number = page.locator(".tile").count()
    for key in ("ArrowRight", "x", "Shift+ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("5")
    page.keyboard.press("a")
    page.keyboard.press("1")
    page.wait_for_selector(f"{SAVED}[data-open='0']")
    answers = [category for _, category in server.labels("ben")]

    assert answers == ["HSIL"] * 2 + ["NILM"] * (number - 2)


def test_answer_without_a_choice__labels_nothing_and_says_so(sign_in, server) -> None:
    page = sign_in("vera", "/gallery")
    page.wait_for_selector(READY)
    page.keyboard.press("5")
    page.wait_for_selector("text=Choose cells first")

    assert server.labels("vera") == []


def test_key_under_the_list_of_keys__answers_nothing_and_closing_it_keeps_the_choice(sign_in, server) -> None:
    page = sign_in("vera", "/gallery")
    page.wait_for_selector(READY)
    page.locator(".tile").first.click()
    page.keyboard.press("?")
    page.wait_for_selector(".sheet")
    page.keyboard.press("5")
    page.wait_for_selector("text=Key 5 was not taken: the cells were covered.")
    page.keyboard.press("?")
    page.keyboard.press("Escape")
    expect(page.locator(".sheet")).to_have_count(0)
    expect(page.locator(".tile.chosen")).to_have_count(1)

    assert server.labels("vera") == []


def test_cells_like_this__are_the_nearest_and_come_first(sign_in) -> None:
    page = sign_in("vera")
    page.wait_for_selector(".deck[data-cell]")
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("l")
    page.wait_for_selector(READY)

    expect(page.locator(".tile").first).to_have_attribute("data-cell", cell)


def test_cells_of_a_page_that_was_left__go_to_a_colleague_at_once(sign_in, server) -> None:
    page = sign_in("vera", "/gallery")
    page.wait_for_selector(READY)
    cells = page.locator(".tile").evaluate_all("tiles => tiles.map(t => t.dataset.cell)")
    names = ", ".join(f"'{cell}'" for cell in cells)
    held = f"SELECT count(*) FROM leases WHERE annotator = 'vera' AND cell_id IN ({names})"
    assert server.rows(held) == [(len(cells),)]
    page.goto(f"{server.url}/progress")

    until(lambda: server.rows(held) == [(0,)])


def test_deck_that_is_left__gives_colleagues_what_nobody_has_seen_and_keeps_the_place(sign_in, server) -> None:
    # A fit to the answers of the tests before would put the cells into another order meanwhile.
    server.wait_for_rows("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM labels WHERE annotator <> 'imported') OR EXISTS "
                         "(SELECT 1 FROM probes WHERE last_label_id = (SELECT max(id) FROM labels))")  # fmt: skip
    page = sign_in("ben")
    page.wait_for_selector(".deck[data-cell]")
    cell = page.get_attribute(".deck", "data-cell")
    held = "SELECT count(*) FROM leases WHERE annotator = 'ben'"
    # Within the page by its menu, and away from it by an address: the deck learns of the two in different ways.
    for leave in (lambda: page.click("text=Progress"), lambda: page.goto(f"{server.url}/settings")):
        until(lambda: server.rows(held)[0][0] > 8)
        page.wait_for_selector(".card.next:nth-child(9)")
        leave()
        until(lambda: server.rows(held) == [(4,)])
        page.goto(server.url)
        page.wait_for_selector(f".deck[data-cell='{cell}']")


def test_example__is_kept_shown_and_withdrawn(sign_in, server) -> None:
    page = sign_in("vera", "/gallery")
    page.wait_for_selector(READY)
    page.keyboard.press("p")
    page.wait_for_selector("text=Decide the cell first")
    page.locator(".tile").nth(0).click()
    cell = page.locator(".tile").nth(0).get_attribute("data-cell")
    page.keyboard.press("5")
    page.keyboard.press("p")
    page.wait_for_selector(".tile.example")
    newest = f"SELECT category FROM exemplars WHERE cell_id = '{cell}' ORDER BY id DESC LIMIT 1"
    assert server.rows(newest) == [("HSIL",)]
    page.keyboard.press("p")
    page.wait_for_selector("text=No longer an example")
    assert server.rows(newest) == [(None,)]


def test_next_page_asked_for_twice_at_once__is_one_page(sign_in, server) -> None:
    page = sign_in("ben", "/gallery")
    page.wait_for_selector(READY)
    given, asked = Held(page, "**/api/v1/release"), []
    page.on("request", lambda request: asked.append(request.url) if "/api/gallery" in request.url else None)
    page.keyboard.press("Enter")
    given.wait()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    given.let_go()
    page.wait_for_selector(READY)
    page.wait_for_load_state("networkidle")

    assert (len(given.found), len(asked)) == (1, 1)
