"""Seeing the cell: zoom, ruler, stain, wider field, criteria. Read from what is drawn."""

import math

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import on_its_way
from tests.waiting import until

pytestmark = pytest.mark.browser

PIXELS = """deck => {
  const canvas = deck.querySelector('canvas');
  const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let grey = 0, sum = 0;
  for (let i = 0; i < d.length; i += 4) { grey += d[i] === d[i + 1] && d[i + 1] === d[i + 2]; sum += d[i]; }
  return { grey: grey / (d.length / 4), mean: sum / (d.length / 4), width: canvas.width };
}"""


TURNED = """async deck => {
  const shown = deck.querySelector('canvas'), small = deck.querySelector('.card.now img'), picture = new Image();
  picture.src = small.src;
  await picture.decode();
  const turn = parseInt(small.style.rotate) / 90, side = picture.naturalWidth, own = document.createElement('canvas');
  own.width = own.height = side;
  own.getContext('2d').drawImage(picture, 0, 0);
  const at = canvas => {
    const d = canvas.getContext('2d').getImageData(0, 0, side, side).data;
    return (x, y) => d[4 * (y * side + x)];
  };
  const lying = at(own), seen = at(shown), last = side - 1;
  const from = [(x, y) => [x, y], (x, y) => [y, last - x], (x, y) => [last - x, last - y], (x, y) => [last - y, x]];
  const wrong = [0, 0, 0, 0];
  for (let y = 0; y < side; y += 5) for (let x = 0; x < side; x += 5)
    from.forEach((place, n) => { wrong[n] += lying(...place(x, y)) !== seen(x, y); });
  return { turn, wrong, isSquare: picture.naturalWidth === picture.naturalHeight };
}"""


def _pixels(page) -> dict[str, float]:
    return page.locator(".deck").evaluate(PIXELS)


def _um_per_css_px(page) -> float:
    """Read the scale bar: its length in micrometres over its length on screen."""
    bar = page.locator(".scale i").bounding_box()
    return float(page.get_attribute(".scale", "data-um")) / bar["width"]


def _ring_um(page) -> float:
    return page.locator(".ruler circle.one:not(.under)").bounding_box()["width"] * _um_per_css_px(page)


def test_ring__has_the_diameter_of_35_square_micrometres_at_every_zoom(page) -> None:
    page.keyboard.press("m")
    for zoom_key in (None, "+", "+"):
        if zoom_key:
            page.keyboard.press(zoom_key)
        until(lambda: _ring_um(page) == pytest.approx(2 * math.sqrt(35 / math.pi), rel=0.06))


def test_turn__the_picture_and_the_small_one_lie_as_the_cell_is_handed_out(page) -> None:
    found = {"turn": 0}
    for _ in range(12):  # until one is turned: each is by chance
        page.wait_for_selector(".card.now img")
        found = page.locator(".deck").evaluate(TURNED)

        assert found["isSquare"]
        assert found["wrong"][found["turn"]] == 0
        assert min(wrong for turn, wrong in enumerate(found["wrong"]) if turn != found["turn"]) > 0
        if found["turn"]:
            break
        cell = page.get_attribute(".deck", "data-cell")
        page.keyboard.press("1")
        page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    page.wait_for_selector(".deck[data-waiting='0']")

    assert found["turn"]


def test_taken_back__the_cell_lies_as_it_lay_when_it_was_answered(page) -> None:
    for _ in range(12):
        page.wait_for_selector(".card.now img")
        turn, cell = page.locator(".deck").evaluate(TURNED)["turn"], page.get_attribute(".deck", "data-cell")
        page.keyboard.press("1")
        page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
        if turn:
            break
    assert turn
    for between in (lambda: None, page.reload):  # known to the page; read from the server
        page.wait_for_selector(".deck[data-cell][data-waiting='0'] .card[data-state=saved]")
        between()
        page.wait_for_selector(".deck[data-cell][data-waiting='0'] .card[data-state=saved]")
        page.keyboard.press("z")
        page.wait_for_selector(f".deck[data-cell='{cell}'][data-waiting='0'] .card.now img")

        assert page.locator(".deck").evaluate(TURNED)["turn"] == turn

        page.keyboard.press("1")
        page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])[data-waiting='0']")


def test_wheel_and_drag__zoom_and_move_escape_returns(page) -> None:
    before = page.locator(".lens").bounding_box()
    page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    page.mouse.wheel(0, -400)
    lens = page.locator(".lens")
    until(lambda: lens.bounding_box()["width"] > 1.5 * before["width"])
    zoomed = lens.bounding_box()
    page.mouse.down()
    page.mouse.move(before["x"] + before["width"] / 2 + 80, before["y"] + before["height"] / 2, steps=3)
    page.mouse.up()
    until(lambda: lens.bounding_box()["x"] > zoomed["x"] + 40)
    page.keyboard.press("Escape")
    until(lambda: lens.bounding_box() == before)


def test_haematoxylin_and_tone__change_the_pixels_and_come_back(page) -> None:
    scanned = _pixels(page)
    page.keyboard.press("e")
    until(lambda: _pixels(page)["grey"] == 1.0 > scanned["grey"])
    page.keyboard.press("e")
    until(lambda: _pixels(page) == scanned)
    page.keyboard.press("]")
    until(lambda: _pixels(page)["mean"] > scanned["mean"] + 2)
    page.keyboard.press("Escape")
    until(lambda: _pixels(page) == scanned)


def test_wider_field__is_there_while_the_key_is_held_and_no_longer(page, server) -> None:
    near, cell, before = _um_per_css_px(page), page.get_attribute(".deck", "data-cell"), server.labels("ada")
    page.keyboard.down("f")
    page.wait_for_selector(".stage.wide")
    far = _um_per_css_px(page)
    page.keyboard.up("f")
    page.wait_for_selector(".stage:not(.wide)")

    assert far == pytest.approx(4 * near, rel=0.06)
    assert _um_per_css_px(page) == near
    assert page.get_attribute(".deck", "data-cell") == cell
    assert server.labels("ada") == before


def test_criteria__name_every_answer_and_show_own_cells(page) -> None:
    cell = page.get_attribute(".deck", "data-cell")
    page.keyboard.press("3")
    page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    page.wait_for_selector(".deck[data-waiting='0']")
    page.keyboard.press("k")
    page.wait_for_selector(f".guide img[src*='{cell}']")
    expect(page.locator(".sheet")).to_contain_text("LSIL")
    expect(page.locator(".sheet")).to_contain_text("more than 3 times an intermediate nucleus")
    page.keyboard.press("Escape")
    page.wait_for_selector(".sheet", state="detached")


def test_sentence_that_comes__moves_nothing(page) -> None:
    before = page.locator(".lens").bounding_box()
    page.keyboard.press("j")
    page.wait_for_selector(".notice.calm >> text=This cell was scanned in one focal plane.")
    page.evaluate("() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")

    assert page.locator(".lens").bounding_box() == before


def test_first_picture__shares_a_slow_line_with_no_other(sign_in, server) -> None:
    page = sign_in("ben", "/settings")  # without earlier answers, whose pictures are shown beside it
    pictures = on_its_way(page, server.url, "**/api/v1/cells/*/image")
    page.wait_for_timeout(300)  # those ahead would have been asked for in the same moment
    assert len(pictures.found) == 1
    pictures.let_go()
    page.wait_for_selector(".deck[data-cell]")
    pictures.wait(4)
    pictures.end()
