"""The slide view in a real browser: rings, answers, marks, opinions, the way there and back; nothing is lost."""

import math

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLIDE_READY, Held, next_on_slide

pytestmark = pytest.mark.browser
NUM_SLIDES = 4
ALL_SAVED = ".slideview[data-waiting='0']"
LABELS = "**/api/v1/labels"

RESTS = """view => new Promise(resolve => {
  let at = "", frames = 0;
  const look = () => {
    frames = at === view.dataset.at ? frames + 1 : 0;
    at = view.dataset.at;
    if (frames < 20) requestAnimationFrame(look); else resolve();
  };
  look();
})"""


def _settled(page) -> tuple[float, float]:
    """Return where the chosen ring is on the screen, once the view rests: the same for twenty drawn frames."""
    page.locator(".slideview[data-at]").evaluate(RESTS)
    at = page.get_attribute(".slideview", "data-at")
    box = page.locator(".slidestage").bounding_box()
    x, y = (float(value) for value in at.split(","))
    return box["x"] + x, box["y"] + y


def test_ring__is_clicked_answered_by_a_key_and_taken_back(slide, server) -> None:
    before = server.labels("ada")
    slide.wait_for_selector("text=Click a ring, or press N for the nearest open cell")
    slide.keyboard.press("l")
    slide.wait_for_selector("text=Click a ring first, then press L")
    cell = next_on_slide(slide)
    x, y = _settled(slide)
    slide.keyboard.press("Escape")
    slide.wait_for_selector(".slideview:not([data-selected])")
    slide.mouse.click(x, y)
    slide.wait_for_selector(f".slideview[data-claimed='{cell}']")
    slide.keyboard.press("5")
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='1']")
    assert server.labels("ada") == [*before, (cell, "HSIL")]
    expect(slide.locator(".legend .entry", has_text="HSIL")).to_have_count(1)

    slide.route(LABELS, lambda route: route.abort())
    slide.keyboard.press("z")
    slide.wait_for_selector(f".slideview[data-waiting='1'][data-claimed='{cell}']")  # before the server knows of it
    slide.unroute(LABELS)
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='2'][data-claimed='{cell}']")
    expect(slide.locator(".legend .entry", has_text="HSIL")).to_have_count(0)
    assert len(server.rows("SELECT id FROM undos")) == 1

    slide.route("**/api/gallery?**", lambda route: route.abort())
    slide.keyboard.press("l")
    slide.wait_for_url(f"{server.url}/gallery?like={cell}")


def test_answers__wait_without_network_and_survive_a_reload(slide, server) -> None:
    before, answered = server.labels("ada"), []
    slide.route(LABELS, lambda route: route.abort())
    for key, category in (("1", "NILM"), ("3", "LSIL")):
        answered.append((next_on_slide(slide), category))
        slide.keyboard.press(key)
    slide.wait_for_selector("text=NOT SAVED: 2 waiting")
    assert server.labels("ada") == before

    def late(route) -> None:
        """Let the page hear what cells there are only after its labels were stored, as it was before them."""
        told = route.fetch()
        slide.unroute(LABELS)
        slide.wait_for_selector(ALL_SAVED)
        route.fulfill(response=told)

    slide.route("**/api/slide-cells/*", late)
    slide.reload()
    slide.wait_for_selector(SLIDE_READY)
    slide.wait_for_selector(ALL_SAVED)

    assert server.labels("ada") == before + answered
    slide.wait_for_selector(".slideview:not([data-answers='0']):not([data-answers='1'])[data-answers]")


def test_missed_cell__is_marked_by_a_click_and_labelled_at_once(slide, server) -> None:
    cells = int(slide.get_attribute(".slideview", "data-cells"))
    box = slide.locator(".slidestage").bounding_box()
    slide.keyboard.press("b")
    slide.get_by_role("button", name="Keys and help").focus()
    for _ in range(2):  # on the button, and on the sheet that it opens
        slide.keyboard.press("Enter")
        slide.wait_for_selector(".slideview[data-marking='true'] [data-sheet='help']")
    slide.click("text=Close")
    slide.mouse.click(box["x"] + box["width"] * 0.37, box["y"] + box["height"] * 0.53)
    slide.wait_for_selector(f".slideview[data-cells='{cells + 1}'][data-claimed]")
    cell = slide.get_attribute(".slideview", "data-claimed")
    slide.keyboard.press("5")
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='1']")

    assert server.rows(f"SELECT origin FROM cells WHERE id = '{cell}'") == [("drawn",)]
    assert server.rows(f"SELECT annotator, width_px FROM finds WHERE cell_id = '{cell}'") == [("ada", 0.0)]
    assert server.labels("ada")[-1] == (cell, "HSIL")


def test_proxy_that_answers_for_the_server__refuses_no_cell(slide, server) -> None:
    answers = iter([{"status": 502, "body": "<h1>Bad Gateway</h1>"}, {"status": 200, "body": '{"item": {"cell'}])
    slide.route("**/claim", lambda route: route.fulfill(**next(answers)))
    _, cell = next_on_slide(slide), next_on_slide(slide)
    slide.keyboard.press("1")
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='1']")
    assert server.labels("ada")[-1] == (cell, "NILM")


def _free_place(page, server) -> tuple[float, float]:
    """Return a point of the window, over the whole slide as it is first shown, far from all known cells."""
    facts = page.request.get(f"{server.url}/api/slides").json()["slides"]
    row = next(row for row in facts if row["slide"] == page.get_attribute(".slideview", "data-slide"))
    cells = page.request.get(f"{server.url}/api/slide-cells/{row['slide']}").json()
    known = list(zip(cells["x"], cells["y"], strict=True))
    width, height = row["width"], row["height"]
    spots = [(x, y) for x in range(width // 4, 3 * width // 4, 20) for y in range(height // 4, 3 * height // 4, 20)]
    x, y = max(spots, key=lambda spot: min(math.dist(spot, cell) for cell in known))
    box = page.locator(".slidestage").bounding_box()
    scale = min(box["width"] / width, box["height"] / height)
    return (box["x"] + box["width"] / 2 + scale * (x - width / 2),
            box["y"] + box["height"] / 2 + scale * (y - height / 2))  # fmt: skip


def test_missed_cell__is_boxed_and_the_box_is_kept_with_its_finder(slide, server) -> None:
    cells = int(slide.get_attribute(".slideview", "data-cells"))
    x, y = _free_place(slide, server)
    slide.keyboard.press("b")
    slide.wait_for_selector(".slideview[data-marking='true']")
    slide.mouse.move(x - 15, y - 12)
    slide.mouse.down()
    slide.mouse.move(x + 15, y + 12, steps=4)
    slide.mouse.up()
    slide.wait_for_selector(f".slideview[data-cells='{cells + 1}'][data-claimed]")
    cell = slide.get_attribute(".slideview", "data-claimed")
    (row,) = server.rows(f"SELECT annotator, width_px, height_px FROM finds WHERE cell_id = '{cell}'")

    assert row[0] == "ada"
    assert row[1] / row[2] == pytest.approx(30 / 24, rel=0.1)
    assert server.rows(f"SELECT origin FROM cells WHERE id = '{cell}'") == [("drawn",)]


def test_box_round_half_the_slide__is_refused_in_a_sentence(slide, server) -> None:
    before = server.rows("SELECT count(*) FROM cells")
    box = slide.locator(".slidestage").bounding_box()
    slide.keyboard.press("b")
    slide.wait_for_selector(".slideview[data-marking='true']")
    slide.mouse.move(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.4)
    slide.mouse.down()
    slide.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.75, steps=4)
    slide.mouse.up()
    slide.wait_for_selector("text=holds more than one cell")

    assert server.rows("SELECT count(*) FROM cells") == before


def test_way_from_the_deck_to_the_slide_and_back__keeps_the_cell(page) -> None:
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("v")
    page.wait_for_selector(f".slideview[data-claimed='{cell}']")
    page.keyboard.press("v")
    page.wait_for_selector(f".deck[data-cell='{cell}']")


def test_opinion__is_never_prefilled_kept_and_not_shown_to_the_next_reader(slide, server, sign_in) -> None:
    slide.keyboard.press("s")
    slide.wait_for_selector(".opinion")
    assert slide.locator(".opinion [aria-pressed=true]").count() == 0
    slide.get_by_role("button", name="Unsatisfactory").click()
    slide.get_by_role("button", name="Absent").click()
    slide.get_by_label("Comment on the slide").fill("thick, blood")
    slide.get_by_role("button", name="Save").click()
    slide.wait_for_selector(".opinion li")
    name = slide.get_attribute(".slideview", "data-slide")
    query = f"SELECT annotator, adequacy, zone, category, comment FROM opinions WHERE slide_id = '{name}'"
    assert server.rows(query) == [("ada", "unsatisfactory", "absent", None, "thick, blood")]
    expect(slide.locator(".opinion [aria-pressed=true]")).to_have_count(0)

    other = sign_in("ben", f"/slide?slide={name}")
    other.wait_for_selector(SLIDE_READY)
    other.keyboard.press("s")
    other.wait_for_selector(".opinion")
    other.get_by_role("button", name="Unsatisfactory").wait_for()
    assert other.request.get(f"{server.url}/api/opinions?slide={name}").json()["opinions"] == []
    other.wait_for_load_state("networkidle")
    assert other.locator(".opinion li").count() == 0


def test_answer_on_its_way_back__its_cell_can_be_answered_again_also_after_another(slide, server) -> None:
    before = server.labels("ada")
    cell = next_on_slide(slide)
    slide.keyboard.press("5")
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='1']")
    slide.route(LABELS, lambda route: route.abort())
    slide.keyboard.press("z")
    slide.wait_for_selector(f".slideview[data-waiting='1'][data-claimed='{cell}']")
    other = next_on_slide(slide)
    slide.keyboard.press("1")
    slide.wait_for_selector(".slideview[data-waiting='2']")
    slide.keyboard.press("p")
    slide.wait_for_selector(f".slideview[data-claimed='{cell}']")
    slide.keyboard.press("3")
    slide.wait_for_selector(".slideview[data-waiting='3']")
    slide.unroute(LABELS)
    slide.wait_for_selector(ALL_SAVED)

    assert server.labels("ada") == [*before, (cell, "HSIL"), (other, "NILM"), (cell, "LSIL")]


def test_answer_taken_back_before_the_slide_is_opened__its_cell_can_be_answered_there(page, server) -> None:
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("1")
    page.wait_for_selector(f".deck[data-cell][data-waiting='0']:not([data-cell='{cell}'])")
    page.route(LABELS, lambda route: route.abort())
    page.keyboard.press("z")
    page.wait_for_selector(f".deck[data-cell='{cell}'][data-waiting='1']")
    page.keyboard.press("v")
    page.wait_for_selector(f".slideview[data-claimed='{cell}'][data-waiting='1']")
    page.keyboard.press("5")
    page.wait_for_selector(".slideview[data-waiting='2']")
    page.unroute(LABELS)
    page.wait_for_selector(ALL_SAVED)

    assert server.labels("ada")[-2:] == [(cell, "NILM"), (cell, "HSIL")]


def test_mark_that_is_stored_late__leaves_the_cell_chosen_that_was_chosen_meanwhile(slide, server) -> None:
    cells = int(slide.get_attribute(".slideview", "data-cells"))
    marks = Held(slide, "**/api/finds")
    slide.keyboard.press("b")
    slide.wait_for_selector(".slideview[data-marking='true']")
    slide.keyboard.press("Enter")
    marks.wait()
    cell = next_on_slide(slide)
    marks.let_go()
    slide.wait_for_selector(f"{ALL_SAVED}[data-cells='{cells + 1}']")
    slide.keyboard.press("5")
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='1']")

    assert slide.get_attribute(".slideview", "data-selected") == cell
    assert server.labels("ada")[-1] == (cell, "HSIL")


def test_mark_before_the_cells_are_there__is_still_there_after_them(slide, server) -> None:
    cells = int(slide.get_attribute(".slideview", "data-cells"))
    x, y = _free_place(slide, server)
    read = Held(slide, "**/api/slide-cells/*", is_read=True)
    slide.reload()
    slide.wait_for_selector(".slideview[data-painted]:not([data-painted=''])")
    read.wait()
    slide.keyboard.press("b")
    slide.wait_for_selector(".slideview[data-marking='true']")
    slide.mouse.click(x, y)
    slide.wait_for_selector(".slideview[data-marking='false']")
    slide.wait_for_selector(ALL_SAVED)
    read.let_go()
    slide.wait_for_selector(f".slideview[data-cells='{cells + 1}'][data-claimed]")
    marked = slide.get_attribute(".slideview", "data-claimed")

    assert server.rows(f"SELECT annotator FROM finds WHERE cell_id = '{marked}'") == [("ada",)]


def test_opinion_that_is_begun_while_another_is_stored__keeps_its_words(slide) -> None:
    slide.keyboard.press("s")
    comment = slide.get_by_label("Comment on the slide")
    comment.fill("few cells")
    stored = Held(slide, "**/api/opinions")
    slide.get_by_role("button", name="Save").click()
    stored.wait()
    comment.fill("the next")
    stored.let_go()
    stored.end()
    slide.wait_for_selector(".opinion li >> text=few cells")
    slide.keyboard.type(" word")

    expect(comment).to_have_value("the next word")
