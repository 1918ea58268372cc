"""How long a key takes to the next cell on screen and to the row on disk, beside plain widgets.

    python -m tests.benchmarks.key_latency [--keys 200]

Both pages are pressed in one run, in turns, on studies of the same cells; ratios are safer than the
absolute figures. Paint: key down to the frame in which the next cell is in the page. Commit: key
down to the frame in which the browser knows of the stored row. The widgets' picture may still be
loading when its place in the page has changed, so their paint is a lower bound.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from labeling import accounts
from tests.browser.conftest import FLAGS, PASSWORD, PATIENCE_MS, Server, small_vectors
from tests.builders import drawn_study

_TURNS = 4
_WATCH = """selector => {
  const find = root => root.querySelector(selector)
    || [...root.querySelectorAll('*')].map(n => n.shadowRoot && find(n.shadowRoot)).find(Boolean);
  window.cellOf = () => find(document)?.dataset.cell;
  window.ackOf = () => Number(find(document)?.dataset.acknowledged);
  window.addEventListener('keydown', () => {
    const start = performance.now(), before = window.cellOf(), acked = window.ackOf(), timing = window.timing = {};
    const look = () => {
      if (!timing.paint && window.cellOf() && window.cellOf() !== before) timing.paint = performance.now() - start;
      if (!timing.commit && window.ackOf() > acked) timing.commit = performance.now() - start;
      if (!timing.paint || !timing.commit) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, true);
}"""


class PlainServer(Server):
    """The page of plain widgets."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.benchmarks.plain_server", str(self.home), str(self.port)]


def _press(page: Page, keys: int, found: dict[str, list[float]]) -> None:
    for number in range(keys):
        page.keyboard.press("12345"[number % 5])
        page.wait_for_function("window.timing && window.timing.paint && window.timing.commit")
        timing = page.evaluate("window.timing")
        for name, values in found.items():
            values.append(timing[name])
        time.sleep(0.15)


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"p50_ms": round(statistics.median(ordered), 1), "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 1)}


def _study(folder: Path) -> Path:
    services = drawn_study(folder / "home", folder / "drawn", 10)
    small_vectors(services)
    accounts.add_account(services.database, "ada", "annotator", PASSWORD)
    services.database.close()
    return folder / "home"


def _opened(browser: Browser, server: Server, selector: str) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{server.url}/login")
    page.fill("input[name=name]", "ada")
    page.fill("input[name=password]", PASSWORD)
    page.click("button")
    page.wait_for_selector(f"{selector}[data-cell]", state="attached")
    page.evaluate(_WATCH, selector)
    return page


def main() -> None:
    """Measure both pages and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200)
    keys = parser.parse_args().keys
    found = {name: {"paint": [], "commit": []} for name in ("deck", "widgets")}
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        servers = {"deck": Server(_study(Path(scratch) / "a")), "widgets": PlainServer(_study(Path(scratch) / "b"))}
        try:
            for server in servers.values():
                server.start()
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            pages = {
                "deck": _opened(browser, servers["deck"], ".deck"),
                "widgets": _opened(browser, servers["widgets"], ".plain"),
            }
            for _ in range(_TURNS):
                for name, page in pages.items():
                    page.bring_to_front()
                    _press(page, keys // _TURNS, found[name])
        finally:
            for server in servers.values():
                server.kill()
    results = {name: {kind: _summary(values) for kind, values in kinds.items()} for name, kinds in found.items()}
    ratios = {
        f"{kind}_{p}": round(results["widgets"][kind][f"{p}_ms"] / results["deck"][kind][f"{p}_ms"], 1)
        for kind in ("paint", "commit")
        for p in ("p50", "p95")
    }
    print(json.dumps({"keys": keys, **results, "widgets_over_deck": ratios}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
