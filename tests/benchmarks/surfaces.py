"""How soon gallery, map and slide view can be used after their page is asked for.

    python -m tests.benchmarks.surfaces [--slide FILE] [--rounds 5]

Gallery: from the address to 120 cells on screen and a first key taken. Map: from the arrival of 100,000 made-up points
to the frame that shows them. Slide: from the address, and from the choice of the slide, to all tiles of the first view,
in the first visit after the server's start (cold) and in later ones. Signed in beforehand; browser and server share the
machine.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from app.intake import take_in
from datasets import catalog
from datasets.public import plan
from labeling import accounts
from tests.browser.conftest import FLAGS, PASSWORD, PATIENCE_MS, Server, small_vectors
from tests.builders import drawn_study

_POINTS = 100_000
_PAINTED = ".slideview:not([data-painted=''])[data-painted]"


def _seconds(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return round(time.perf_counter() - start, 2)


def _gallery(page: Page, url: str, rounds: int) -> dict[str, float]:
    def open_gallery() -> None:
        page.goto(f"{url}/gallery")
        page.wait_for_selector(".gallery[data-ready='120']")

    def choose_all() -> None:
        page.keyboard.press("a")
        page.locator(".tile.chosen").nth(119).wait_for()

    opened, chosen = [], []
    for _ in range(rounds):
        opened.append(_seconds(open_gallery))
        chosen.append(_seconds(choose_all))
    return {"gallery_of_120_s": statistics.median(opened), "all_120_chosen_s": statistics.median(chosen)}


def _map(page: Page, url: str, rounds: int) -> dict[str, float]:
    generator = np.random.default_rng(0)
    points = generator.normal(32768, 8000, (_POINTS, 2)).clip(0, 65535).astype("<u2").tobytes()
    legend = json.dumps([{"name": "no label", "color": "#8b9099"}, {"name": "NILM", "color": "#4363c9"}]).encode()
    codes = generator.integers(0, 2, _POINTS).astype(np.uint8).tobytes()
    page.route("**/api/map/points*", lambda route: route.fulfill(body=points))
    page.route("**/api/map/colors*", lambda route: route.fulfill(body=legend + b"\n" + codes))
    opened, drawn = [], []

    def open_map() -> None:
        page.goto(f"{url}/map")
        page.wait_for_selector(f".map[data-ready='{_POINTS}'][data-drawn-ms]")

    for _ in range(rounds):
        opened.append(_seconds(open_map))
        drawn.append(float(page.get_attribute(".map", "data-drawn-ms") or "nan"))
    return {"map_of_100000_s": statistics.median(opened), "its_drawing_ms": statistics.median(drawn)}


def _slide(page: Page, server: Server, name: str, rounds: int) -> dict[str, float]:
    def open_slide() -> None:
        page.goto(f"{server.url}/slide?slide={name}")
        page.wait_for_selector(_PAINTED)

    def painted() -> float:
        return float(page.get_attribute(".slideview", "data-painted") or "nan") / 1000

    found = {"slide_cold_page_s": _seconds(open_slide), "slide_cold_tiles_s": painted()}
    pages, tiles = [], []
    for _ in range(rounds):
        pages.append(_seconds(open_slide))
        tiles.append(painted())
    return {**found, "slide_page_s": statistics.median(pages), "slide_tiles_s": statistics.median(tiles)}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, help="a scan; without it the first drawn field is opened")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch)
        services = drawn_study(folder / "home", folder / "drawn", 8)
        small_vectors(services)
        accounts.add_account(services.database, "ada", "annotator", PASSWORD)
        if asked.slide:
            take_in(services, plan(asked.slide))
        kind = "slide" if asked.slide else "field"
        name = next(s.id for s in catalog.slides_with_pictures(services.database) if s.kind == kind)
        services.database.close()
        server = Server(folder / "home")
        try:
            server.start()
            page = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(f"{server.url}/login")
            page.fill("input[name=name]", "ada")
            page.fill("input[name=password]", PASSWORD)
            page.click("button")
            page.wait_for_selector(".deck[data-cell]")
            found = _slide(page, server, name, asked.rounds)
            found |= _gallery(page, server.url, asked.rounds) | _map(page, server.url, asked.rounds)
        finally:
            server.kill()
    print(json.dumps({**found, "load": os.getloadavg()[0]}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
