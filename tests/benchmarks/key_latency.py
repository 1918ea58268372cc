"""How long a key takes to the next cell on screen and to the row on disk, beside plain widgets.

    python -m tests.benchmarks.key_latency [--keys 200]

Both pages are served by one server and pressed in turn in one run; ratios are safer than the
absolute figures. Paint: key down to the frame in which the next cell is drawn. Commit: key down to
the moment at which the browser has the receipt (deck), or at which the row can be read (widgets).
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from labeling import accounts
from tests.browser.conftest import FLAGS, PASSWORD, PATIENCE_MS, Server, small_vectors
from tests.builders import drawn_study

_PLAIN = '''
import streamlit as st
from app.views import people
from datasets import catalog
from labeling import leases
from labeling.labels import LabelEvent, record
import uuid

person, services = people.require(), people.services()
if "queue" not in st.session_state:
    st.session_state.queue = [i.cell_id for i in leases.take(services.database, person.name, 300, reads=1,
                                                             lease_seconds=3600)]
def answer(category):
    cell = st.session_state.queue.pop(0)
    record(services.database, person.name, [LabelEvent(key=str(uuid.uuid4()), cell_id=cell, category=category)],
           label_set=services.label_set)
cell = st.session_state.queue[0]
st.image(str(catalog.crop_path(services.home, cell)), width=500)
st.html(f'<i class="plain" data-cell="{cell}"></i>')
for category in services.label_set.categories:
    st.button(category.name, shortcut=category.key, on_click=answer, args=(category.id,))
'''

_WATCH = """selector => {
  const find = root => root.querySelector(selector)
    || [...root.querySelectorAll('*')].map(n => n.shadowRoot && find(n.shadowRoot)).find(Boolean);
  window.cellOf = () => find(document)?.dataset.cell;
  window.ackOf = () => Number(find(document)?.dataset.acknowledged);
  window.addEventListener('keydown', () => {
    const start = performance.now(), before = window.cellOf(), acked = window.ackOf();
    window.timing = {};
    const look = () => {
      if (!window.timing.paint && window.cellOf() && window.cellOf() !== before) window.timing.paint = performance.now() - start;
      if (!window.timing.commit && window.ackOf() > acked) window.timing.commit = performance.now() - start;
      if (!window.timing.paint || (!window.timing.commit && !isNaN(acked))) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, true);
}"""


def _press(page: Page, keys: int, *, has_receipts: bool) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"paint": [], "commit": []}
    done = "window.timing && window.timing.paint" + (" && window.timing.commit" if has_receipts else "")
    for number in range(keys):
        page.keyboard.press("12345"[number % 5])
        page.wait_for_function(done)
        timing = page.evaluate("window.timing")
        for name in found:
            if name in timing:
                found[name].append(timing[name])
        time.sleep(0.15)
    return found


def _summary(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {"p50_ms": round(statistics.median(ordered), 1), "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 1)}


def _signed_in(browser, server: Server, path: str) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{server.url}/login")
    page.fill("input[name=name]", "ada")
    page.fill("input[name=password]", PASSWORD)
    page.click("button")
    page.wait_for_url(lambda url: not url.endswith("/login"))
    page.goto(server.url + path)
    return page


def main() -> None:
    """Measure both pages and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200)
    keys = parser.parse_args().keys
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        services = drawn_study(home, Path(scratch) / "drawn", 16)
        small_vectors(services)
        accounts.add_account(services.database, "ada", "annotator", PASSWORD)
        services.database.close()
        (Path(scratch) / "plain.py").write_text(_PLAIN)
        server = Server(home, extra_page=Path(scratch) / "plain.py")
        server.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
                for name, path, selector in (("deck", "/", ".deck"), ("widgets", "/plain", ".plain")):
                    page = _signed_in(browser, server, path)
                    page.wait_for_selector(f"{selector}[data-cell]", state="attached")
                    page.evaluate(_WATCH, selector)
                    timings = _press(page, keys, has_receipts=name == "deck")
                    results[name] = {kind: _summary(values) for kind, values in timings.items()}
                    page.close()
        finally:
            server.kill()
    results["ratio"] = {"paint_p50": {"times": round(results["widgets"]["paint"]["p50_ms"] / results["deck"]["paint"]["p50_ms"], 1)}}
    print(json.dumps({"keys": keys, **results}, indent=1))  # noqa: T201  (its output)


if __name__ == "__main__":
    main()
