"""The map: every cell a point; a lasso opens what it holds as a gallery."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

from app.cell_map import update_map
from app.services import Services
from datasets.embeddings import EmbeddingStore, set_current
from tests.browser.conftest import Held

pytestmark = pytest.mark.browser
NUM_SLIDES = 2
MANY = 100_000
THIRD_FINGER = """over => {
  over.setPointerCapture = () => null;      // no finger is really there
  for (const [kind, id] of ["d1", "d2", "d3", "u3", "d3", "u3", "u1", "u2"]) {
    const at = { pointerId: Number(id), pointerType: "touch", clientX: 300 + 90 * id, clientY: 300 };
    over.dispatchEvent(new PointerEvent(kind === "d" ? "pointerdown" : "pointerup", at));
  }
  delete over.setPointerCapture;
}"""
CHOSEN = ".map[data-chosen]:not([data-chosen='0'])"


def _lasso(page, half_px: int) -> None:
    box = page.locator(".over").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - half_px, y - half_px)
    page.mouse.down()
    for dx, dy in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        page.mouse.move(x + dx * half_px, y + dy * half_px, steps=3)
    page.mouse.up()


def _point_at_a_cell(page, server) -> None:
    points = np.frombuffer(page.request.get(f"{server.url}/api/map/points").body(), "<u2").reshape(-1, 2) / 65535
    box = page.locator(".over").bounding_box()
    x, y = points[len(points) // 2]
    page.mouse.move(box["x"] + 24 + x * (box["width"] - 48), box["y"] + 24 + (1 - y) * (box["height"] - 48))
    page.wait_for_selector(".tip img")


def test_lasso__opens_its_cells_as_a_gallery(sign_in, server) -> None:
    page = sign_in("ada", "/map")
    page.wait_for_selector(".map:not([data-ready='0'])[data-ready]")
    assert int(page.get_attribute(".map", "data-ready")) == server.rows("SELECT count(*) FROM cells")[0][0]
    _lasso(page, 220)
    chosen = int(page.get_attribute(CHOSEN, "data-chosen"))
    page.get_by_text("Open as gallery").click()
    page.wait_for_selector(".gallery[data-ready]:not([data-ready='0'])")

    expect(page.locator(".tile")).to_have_count(chosen)


def test_blind_study__does_not_colour_by_suggestion(sign_in, server) -> None:
    page = sign_in("ada", "/map")
    page.wait_for_selector(".map[data-ready]:not([data-ready='0'])")
    expect(page.locator("option", has_text="colour by label")).to_be_attached()

    ways = [text for text in page.locator("option").all_inner_texts() if text.startswith("colour")]

    assert "colour by suggestion" not in ways
    assert page.request.get(f"{server.url}/api/map/colors?by=suggestion").status == 403


def test_two_colourings_one_after_the_other__the_last_one_stays(sign_in) -> None:
    page = sign_in("vera", "/map")
    page.wait_for_selector(".map[data-ready]:not([data-ready='0'])")
    colors = Held(page, "**/api/map/colors*")
    page.get_by_label("Colour by").select_option("slide")
    page.get_by_label("Colour by").select_option("doctor")
    colors.wait(2)
    colors.let_go(1)
    page.wait_for_selector(".map[data-by='doctor']")
    colors.let_go(0)
    page.wait_for_load_state("networkidle")

    expect(page.locator(".legend .entry", has_text="slide 1")).to_have_count(0)
    assert page.get_attribute(".map", "data-by") == "doctor"


def test_keys__work_without_a_click_on_the_map_before(sign_in) -> None:
    page = sign_in("ada", "/map")
    page.wait_for_selector(".map[data-ready]:not([data-ready='0'])")
    page.keyboard.press("l")

    page.wait_for_selector("text=Point at a cell first; L then opens cells like it.")


def test_button_for_cells_like_the_one_pointed_at__is_reached_with_the_mouse(sign_in, server) -> None:
    page = sign_in("ada", "/map")
    page.wait_for_selector(".map[data-ready]:not([data-ready='0'])")
    _point_at_a_cell(page, server)
    page.locator(".tool", has_text="cells like this").click()

    page.wait_for_selector(".gallery[data-ready]:not([data-ready='0'])")


def test_hundred_thousand_points__are_drawn_and_chosen(sign_in) -> None:
    generator = np.random.default_rng(0)
    points = generator.integers(0, 65536, (MANY, 2)).astype("<u2").tobytes()
    legend = json.dumps([{"name": "no label", "color": "#8b9099"}, {"name": "NILM", "color": "#4363c9"}]).encode()
    codes = generator.integers(0, 2, MANY).astype(np.uint8).tobytes()
    page = sign_in("ada")
    page.route("**/api/map/points*", lambda route: route.fulfill(body=points))
    page.route("**/api/map/colors*", lambda route: route.fulfill(body=legend + b"\n" + codes))
    page.goto(page.url.rstrip("/") + "/map")
    page.wait_for_selector(f".map[data-ready='{MANY}'][data-drawn-ms]")
    _lasso(page, 200)
    box = page.locator(".over").bounding_box()
    share = 400 * 400 / ((box["width"] - 48) * (box["height"] - 48))

    assert int(page.get_attribute(CHOSEN, "data-chosen")) == pytest.approx(share * MANY, rel=0.05)


def test_vectors_that_are_others_by_now__open_no_wrong_cell(sign_in, server) -> None:
    page = sign_in("ada", "/map")
    page.wait_for_selector(".map[data-ready]:not([data-ready='0'])")
    _point_at_a_cell(page, server)
    page.keyboard.press("a")
    page.wait_for_selector(CHOSEN)
    services = Services.open(server.home)
    store, folder = services.store(), services.embeddings_folder
    EmbeddingStore(folder, "others").append(store.cell_ids[::-1], store.stack()[: len(store)][::-1])
    set_current(folder, "others")
    try:
        update_map(services.home, services.store())
        page.keyboard.press("Enter")
        page.wait_for_selector("text=The cells have new vectors")
        page.wait_for_selector(".map[data-chosen='0'][data-of='others']")
        page.keyboard.press("l")
        page.wait_for_selector("text=Point at a cell first")
        page.keyboard.press("a")
        page.wait_for_selector(CHOSEN)
        page.keyboard.press("Enter")
        page.wait_for_selector(".gallery[data-ready]:not([data-ready='0'])")
    finally:
        set_current(folder, store.fingerprint)
        services.database.close()


def test_fingers__come_closer_see_a_cell_and_draw_a_loop(sign_in) -> None:
    page = sign_in("ada", "/map", has_touch=True)
    page.wait_for_selector(".map[data-ready]:not([data-ready='0'])")
    box, fingers = page.locator(".over").bounding_box(), page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touched = [{"x": px, "y": py, "id": n} for n, (px, py) in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})

    def loop(half: float) -> int:
        touch("touchStart", (x - half, y - half))
        for dx, dy in ((1, -1), (1, 1), (-1, 1)):
            touch("touchMove", (x + dx * half, y + dy * half))
        touch("touchEnd")
        return int(page.get_attribute(CHOSEN, "data-chosen"))

    def pinch() -> None:
        touch("touchStart", (x - 50, y))
        touch("touchStart", (x - 50, y), (x + 50, y))
        for step in range(1, 6):
            touch("touchMove", (x - 50 - 10 * step, y), (x + 50 + 10 * step, y))
        touch("touchEnd")

    far = loop(150)
    page.locator(".over").evaluate(THIRD_FINGER)
    expect(page.locator(".map")).to_have_attribute("data-chosen", str(far))
    pinch()
    expect(page.locator(".map")).to_have_attribute("data-chosen", str(far))

    assert abs(loop(300) - far) <= 3, (
        "twice as near, a loop of twice the size holds the same cells, but for rounded edges"
    )
    pinch()
    page.get_by_text("Open as gallery").click()
    page.wait_for_selector(".gallery[data-ready]:not([data-ready='0'])")


def test_map_that_is_not_there_yet__has_nothing_to_choose_and_says_what_to_do(sign_in) -> None:
    page = sign_in("ada", "/settings")
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.route("**/api/map/points*", lambda route: route.fulfill(status=204))
    page.goto(page.url.replace("/settings", "/map"))
    page.wait_for_selector("text=There is no map yet.")
    page.keyboard.press("a")
    page.locator(".tool", has_text="choose all that is in view").click()
    page.get_by_label("Colour by").select_option("slide")
    page.wait_for_selector(".map[data-by='slide']")

    assert page.get_attribute(".map", "data-chosen") == "0"
    assert faults == []
