"""What a doctor presses while something is on its way: it counts for what was seen, later, or is told as not taken."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLIDE_READY, Held, on_its_way
from tests.waiting import until

pytestmark = pytest.mark.browser
NUM_SLIDES = 2
LABELS = "**/api/v1/labels"
DECK = ".deck[data-cell][data-waiting='0']"


def _answered(page, key: str) -> str:
    """Answer the cell on screen; return it once it is stored and the next one is seen."""
    page.wait_for_selector(DECK)
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press(key)
    page.wait_for_selector(f"{DECK}:not([data-cell='{cell}'])")
    return cell


@pytest.mark.parametrize("path", ["/", "/slide", "/gallery"])
def test_undo_before_the_earlier_answers_are_known__counts_when_they_are(sign_in, server, path) -> None:
    page = sign_in("ada")
    cell = _answered(page, "5")
    earlier = on_its_way(page, server.url + path, "**/api/v1/recent?*")
    if path == "/slide":
        page.wait_for_selector(SLIDE_READY)
    page.keyboard.press("z")
    page.wait_for_selector("text=Earlier answers are being fetched")
    earlier.let_go()
    until(lambda: server.rows(f"SELECT 1 FROM undos JOIN labels ON labels.id = label_id WHERE cell_id = '{cell}'"))


def test_note__stays_with_the_cell_that_was_seen(sign_in, server) -> None:
    page = sign_in("ada")
    page.wait_for_selector(DECK)
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("d")
    page.keyboard.type("folded")
    other = page.context.new_page()
    other.goto(f"{server.url}/login")  # a window of the same account has answered this cell
    event = {"key": "k", "kind": "label", "cell": cell, "category": "NILM"}
    other.evaluate("([name, event]) => localStorage.setItem(name, JSON.stringify({ at: Date.now(), event }))",
                   ["cytojepa/labels/ada/k", event])  # fmt: skip
    page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The note was not kept")
    other.evaluate("localStorage.removeItem('cytojepa/labels/ada/k')")
    following = _answered(page, "1")

    comments = server.rows(f"SELECT comment FROM labels WHERE cell_id = '{following}' AND annotator = 'ada'")
    assert set(comments) == {(None,)}


def test_note_on_a_slide__can_be_written_while_the_cell_is_being_claimed(sign_in, server) -> None:
    page = sign_in("ada", "/slide")
    page.wait_for_selector(".slideview[data-painted]:not([data-painted='']):not([data-cells=''])")
    claim = Held(page, "**/claim")
    page.keyboard.press("n")
    claim.wait()
    page.keyboard.press("d")
    page.keyboard.type("5 nuclei")
    page.keyboard.press("Enter")
    page.keyboard.press("3")
    claim.let_go()
    page.wait_for_selector(".slideview[data-waiting='0'][data-acknowledged='1']")
    newest = "SELECT category, comment FROM labels WHERE annotator = 'ada' ORDER BY id DESC LIMIT 1"

    assert server.rows(newest) == [("LSIL", "5 nuclei")]


def test_map_on_its_way__says_so_and_never_shows_the_picture_of_another_cell(sign_in, server) -> None:
    page = sign_in("ada", "/settings")
    colors = on_its_way(page, f"{server.url}/map", "**/api/map/colors*")
    page.keyboard.press("a")
    page.wait_for_selector("text=The map is still on its way.")
    assert page.get_by_text("0 cells by likeness").count() == 0
    colors.found[0][0].abort()
    page.wait_for_selector("text=The map did not arrive.")
    colors.end()
    page.wait_for_selector(".map[data-ready]:not([data-ready='0'])")  # it is asked for again
    page.wait_for_selector(".ask:has-text('cells by likeness')")
    assert page.get_by_text("The server did not answer.").count() == 0
    assert page.get_by_text("The map is still on its way.").count() == 0


def test_review__shows_no_answers_beside_another_cell_takes_no_key_for_it_and_keeps_a_reason(sign_in, server) -> None:
    first, second = (cell for (cell,) in server.rows("SELECT id FROM cells ORDER BY id LIMIT 2"))
    said = [{"annotator": name, "category": category, "confidence": None, "seconds": None, "comment": None}
            for name, category in (("ada", "NILM"), ("ben", "HSIL"))]  # fmt: skip
    cases = [{"cell": cell, "image": f"/api/v1/cells/{cell}/image", "mpp": None, "answers": said, "verdict": None,
              "suggestion": None, "example": None} for cell in (first, second)]  # fmt: skip
    page = sign_in("vera", "/settings")
    page.route("**/api/cases?*", lambda route: route.fulfill(json={"cases": cases}))
    picture = Held(page, f"**/{second}/image")
    page.goto(f"{server.url}/review")
    page.wait_for_selector(f".review[data-cell='{first}']")
    page.fill(".noteinput", "nucleus too large")
    page.press(".noteinput", "Enter")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".review:not([data-cell]) >> text=Fetching the cell")
    page.keyboard.press("4")
    page.wait_for_selector("text=Key 4 was not taken: the cell was not on screen yet.")
    picture.let_go()
    page.wait_for_selector(f".review[data-cell='{second}']")
    expect(page.locator(".noteinput")).to_have_value("")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f".review[data-cell='{first}']")
    expect(page.locator(".noteinput")).to_have_value("nucleus too large")
    assert server.rows("SELECT id FROM verdicts") == []


def test_undo_whose_earlier_answers_do_not_come__is_told(sign_in) -> None:
    page = sign_in("ben", "/settings")
    page.route("**/api/v1/recent?*", lambda route: route.abort())
    page.goto(page.url.replace("/settings", "/gallery"))
    page.wait_for_selector(".gallery[data-ready]")
    page.keyboard.press("z")
    page.wait_for_selector("text=Earlier answers did not arrive: The server did not answer.")
    page.unroute("**/api/v1/recent?*")
    page.keyboard.press("z")
    page.wait_for_selector("text=There is nothing more to take back.")


@pytest.mark.slow  # how often the page asks while Streamlit draws it anew is not in the test's hands
def test_gallery_on_its_way__takes_no_key_and_the_last_choice_counts(sign_in, server) -> None:
    page = sign_in("ben", "/settings")
    cells = on_its_way(page, f"{server.url}/gallery", "**/api/gallery?*")
    page.keyboard.press("1")
    page.wait_for_selector("text=The cells are not here yet: nothing was chosen or answered.")
    page.get_by_label("Cells on a page").select_option("60")
    cells.let_go()
    cells.wait(2)
    cells.end()
    page.wait_for_selector(".gallery[data-ready='60']")

    page.route("**/api/gallery?*", lambda route: route.abort())
    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")
    like = page.locator(".tile.cursor").get_attribute("data-cell") if page.locator(".tile").count() else None
    page.wait_for_selector("text=The cells did not arrive.")
    assert like is None
    page.unroute("**/api/gallery?*")
    with page.expect_request("**/api/gallery?*") as asked:
        page.get_by_role("button", name="Try again").click()
    assert "&like=" in asked.value.url
