"""How long a key takes to the next cell on screen and to the row on disk, beside plain widgets.

    python -m tests.benchmarks.key_latency [--keys 200] [--doctors 20] [--fits] [--pretraining]

`--doctors`: so many are signed in and label, all but one of them about once a second over HTTP; `--fits`: the probe is
fitted again and again in a process beside the server; `--pretraining`: the encoder is pretrained on the study's cells
as the page Jobs starts it, from before the first key to after the last. All weigh on the deck's study, which the
widgets do not share.

Both pages are pressed in one run, in turns, on studies of the same cells; ratios are safer than the
absolute figures. Paint: key down to the frame in which the next cell is in the page. Commit: key
down to the frame in which the browser knows of the stored row. The widgets' picture may still be
loading when its place in the page has changed, so their paint is a lower bound.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from app import job_files, jobs
from app.services import Services
from app.settings import Settings
from app.sign_in import COOKIE
from labeling import accounts
from tests.browser.conftest import FLAGS, PASSWORD, PATIENCE_MS, Server, small_vectors
from tests.builders import drawn_study
from tests.waiting import until

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


def _study(folder: Path, doctors: int) -> Path:
    home = folder / "home"
    home.mkdir(parents=True)
    Settings(reads=min(5, 1 + doctors // 4)).save(home)  # so that there are cells for all
    services = drawn_study(home, folder / "drawn", 10 + doctors)
    small_vectors(services)
    for name in ("ada", *(f"doctor-{n}" for n in range(1, doctors))):
        accounts.add_account(services.database, name, "annotator", PASSWORD)
    services.database.close()
    return home


def _label_on(url: str, token: str, csrf: str, stop: threading.Event, counts: dict[str, int]) -> None:
    """Be a colleague: fetch cells, answer one a second."""
    with httpx.Client(base_url=url, cookies={COOKIE: token}, headers={"X-CSRF-Token": csrf}, timeout=30) as client:
        waiting: list[str] = []
        while not stop.wait(1.0):
            if not waiting:
                answer = client.get("/api/v1/worklist", params={"limit": 12})
                waiting = [item["cell"] for item in answer.json()["items"]]
            if waiting:
                event = {"key": str(uuid.uuid4()), "kind": "label", "cell": waiting.pop(), "category": "NILM"}
                answer = client.post("/api/v1/labels", json={"events": [event]}, headers={"Origin": url})
                counts["labels of colleagues"] += answer.json()["receipts"][0]["accepted"]


@contextmanager
def _company(home: Path, url: str, doctors: int, *, fits: bool) -> Iterator[dict[str, int]]:
    """Let colleagues label and the probe be fitted; yield how often that happened."""
    stop, counts = threading.Event(), {"labels of colleagues": 0, "fits": 0}
    services = Services.open(home)
    threads = []
    for number in range(1, doctors):
        token = accounts.open_sign_in(services.database, f"doctor-{number}")
        signed_in = accounts.check_sign_in(services.database, token)
        assert signed_in is not None
        threads.append(threading.Thread(target=_label_on, args=(url, token, signed_in.csrf_token, stop, counts)))

    def fit() -> None:
        while not stop.is_set():
            subprocess.run(
                [sys.executable, "-m", "app.cli", "fit", "--home", str(home)], check=True, capture_output=True
            )
            counts["fits"] += 1

    if fits:
        threads.append(threading.Thread(target=fit))
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        services.database.close()


@contextmanager
def _pretraining(home: Path, counts: dict[str, int]) -> Iterator[None]:
    """Pretrain beside the server, as its page does; count the steps that were made meanwhile."""
    services = Services.open(home)
    job_id = jobs.start_job(services, "pretrain", ["pretrain", "--preset=tiny", "--steps=1000000"], by="ada")
    try:
        before = until(lambda: _steps(home, job_id), 600)
        yield
        counts["steps of pretraining"] = _steps(home, job_id) - before
    finally:
        while job_files.job_of(home, job_id).is_alive:
            jobs.stop_job(services, job_id, by="ada")
            time.sleep(5)  # asked a second time it is ended at once
        services.database.close()


def _steps(home: Path, job_id: str) -> int:
    job = job_files.job_of(home, job_id)
    if not job.is_alive:
        raise RuntimeError(f"the pretraining ended: {job.sentence}")
    return job.done if job.total == 1_000_000 else 0


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
    parser.add_argument("--doctors", type=int, default=1)
    parser.add_argument("--fits", action="store_true")
    parser.add_argument("--pretraining", action="store_true")
    asked = parser.parse_args()
    found = {name: {"paint": [], "commit": []} for name in ("deck", "widgets")}
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        homes = {"deck": _study(Path(scratch) / "a", asked.doctors), "widgets": _study(Path(scratch) / "b", 1)}
        servers = {"deck": Server(homes["deck"]), "widgets": PlainServer(homes["widgets"])}
        try:
            for server in servers.values():
                server.start()
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            pages = {
                "deck": _opened(browser, servers["deck"], ".deck"),
                "widgets": _opened(browser, servers["widgets"], ".plain"),
            }
            with ExitStack() as beside:
                company = beside.enter_context(
                    _company(homes["deck"], servers["deck"].url, asked.doctors, fits=asked.fits)
                )
                if asked.pretraining:
                    beside.enter_context(_pretraining(homes["deck"], company))
                for _ in range(_TURNS):
                    for name, page in pages.items():
                        page.bring_to_front()
                        _press(page, asked.keys // _TURNS, found[name])
        finally:
            for server in servers.values():
                server.kill()
    results = {name: {kind: _summary(values) for kind, values in kinds.items()} for name, kinds in found.items()}
    ratios = {
        f"{kind}_{p}": round(results["widgets"][kind][f"{p}_ms"] / results["deck"][kind][f"{p}_ms"], 1)
        for kind in ("paint", "commit")
        for p in ("p50", "p95")
    }
    told = {"keys": asked.keys, "doctors": asked.doctors, **company, "load": os.getloadavg()[0]}
    print(json.dumps({**told, **results, "widgets_over_deck": ratios}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
