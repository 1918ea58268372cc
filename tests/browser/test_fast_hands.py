"""Ten keys a second for twenty seconds: no label lost, doubled, or given to another cell."""

import time

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NUM_SLIDES = 8
KEYS = {"1": "NILM", "2": "ASC-US", "3": "LSIL", "4": "ASC-H", "5": "HSIL"}
PRESSES, INTERVAL_SECONDS = 200, 0.1

# What was on screen when a key went down, noted before the page itself hears of the key.
RECORDER = """() => {
  window.pressed = [];
  const deck = document.querySelector('[data-testid^=stBidiComponent]').shadowRoot?.querySelector('.deck')
    || [...document.querySelectorAll('*')].map(n => n.shadowRoot?.querySelector('.deck')).find(Boolean);
  window.addEventListener('keydown', e => window.pressed.push([deck.dataset.cell || '', e.key]), true);
}"""


def test_ten_keys_a_second__are_as_many_right_rows(page, server) -> None:
    page.evaluate(RECORDER)
    start = time.monotonic()
    for number in range(PRESSES):
        page.keyboard.press(list(KEYS)[number % len(KEYS)])
        time.sleep(max(0.0, start + (number + 1) * INTERVAL_SECONDS - time.monotonic()))
    page.wait_for_selector(".deck[data-waiting='0']")
    seen = [(cell, KEYS[key]) for cell, key in page.evaluate("window.pressed")]
    ignored, rows = int(page.get_attribute(".deck", "data-ignored")), server.labels("ada")

    assert len(seen) == PRESSES
    assert len(rows) + ignored == PRESSES
    assert len({cell for cell, _ in rows}) == len(rows)
    assert [pair for pair in seen if pair in set(rows)] == rows
    # A press that finds no cell on screen is told and not taken; a machine that keeps up has none.
    assert ignored <= PRESSES // 20
