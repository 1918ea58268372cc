# ruff: noqa: T201  (it is a report)
"""What a server of a study takes while doctors label: cores, memory and disk, beside the number of doctors.

    python -m tests.benchmarks.sizing doctors [--doctors 1,20] [--seconds 60] [--pages 4]
    python -m tests.benchmarks.sizing commands FOLDER

`doctors`:
each doctor fetches cells by the dozen and their pictures and answers one cell in two seconds, over HTTP as the page
does; the probe is refitted behind it. Cores are CPU seconds of the server with all its children over the seconds that
passed; memory is what its processes take together (PSS: what they share is counted once). `--pages` label pages are
open in a real browser, whose own memory is not counted. Disk is what the database has grown by, with its chain of
events. `commands`: the most memory and the CPU seconds of `ingest`, `detect`, `embed` and a few steps of `pretrain`.
"""

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from app.services import Services
from labeling import accounts
from tests.browser.conftest import FLAGS, PASSWORD, PATIENCE_MS, Server, small_vectors
from tests.builders import drawn_study

_PACE_SECONDS = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")
_ANSWERS = ("NILM", "LSIL", "HSIL", "NILM", "ASC-US")


def _family(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += (task / "children").read_text().split()
    except OSError:
        return []
    return [pid, *itertools.chain.from_iterable(_family(int(child)) for child in dict.fromkeys(children))]


def cpu_seconds(pid: int) -> float:
    """Return what a process, its children and those that have ended have used."""
    total = 0
    for member in _family(pid):
        try:
            words = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(word) for word in words[11:15])
    return total / _TICKS


def memory_mb(pid: int) -> dict[int, int]:
    """Return the PSS of each process of a family."""
    found = {}
    for member in _family(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        found[member] = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) // 1024
    return found


def _label(url: str, name: str, end: float, made: list[int]) -> None:
    """Label as one doctor at a steady pace until a moment."""
    with httpx.Client(base_url=url, timeout=120, headers={"origin": url}) as client:
        client.post("/login", data={"name": name, "password": PASSWORD}, headers={"accept": "text/html"})
        services = Services.open(_HOME[0])
        person = accounts.check_sign_in(services.database, client.cookies["cytojepa_session"])
        services.database.close()
        assert person is not None
        cells: list[dict[str, str]] = []
        next_at = time.monotonic()
        while time.monotonic() < end:
            if not cells:
                cells = client.get("/api/v1/worklist", params={"limit": 12}).json()["items"]
                if not cells:
                    break
            item = cells.pop(0)
            client.get(item["image"])
            number = len(made)
            event = {"kind": "label", "key": f"{name}-{time.time_ns()}", "cell": item["cell"],
                     "category": _ANSWERS[number % len(_ANSWERS)], "seconds": _PACE_SECONDS}  # fmt: skip
            told = client.post("/api/v1/labels", json={"events": [event]}, headers={"x-csrf-token": person.csrf_token})
            made.append(sum(receipt["accepted"] for receipt in told.json()["receipts"]))
            next_at += _PACE_SECONDS
            time.sleep(max(0.0, next_at - time.monotonic()))


_HOME: list[Path] = []


def measure(server: Server, doctors: list[str], seconds: float) -> str:
    """Let doctors label for a while; return what the server has taken."""
    pid, made = server.child.pid, list[int]()
    size, before, start = _bytes(server), cpu_seconds(pid), time.monotonic()
    threads = [threading.Thread(target=_label, args=(server.url, name, start + seconds, made)) for name in doctors]
    for thread in threads:
        thread.start()
    most: dict[int, int] = {}
    while any(thread.is_alive() for thread in threads):
        now = memory_mb(pid)
        most = max(most, now, key=lambda found: sum(found.values()))
        time.sleep(2)
    used, wall = cpu_seconds(pid) - before, time.monotonic() - start
    labels = max(sum(made), 1)
    grown = (_bytes(server) - size) / labels
    return (f"{len(doctors)} doctors: {sum(made)} labels in {wall:.0f} s, {used / wall:.2f} cores "
            f"({1000 * used / labels:.0f} CPU ms for each label), at most {sum(most.values())} MB "
            f"in {len(most)} processes {sorted(most.values())}, {grown:.0f} bytes for each label")  # fmt: skip


def _bytes(server: Server) -> int:
    ((pages,),), ((size,),) = server.rows("PRAGMA page_count"), server.rows("PRAGMA page_size")
    return int(pages * size)


def open_pages(server: Server, doctors: list[str]) -> str:
    """Open the label page for some doctors; return what each costs the server."""
    before = sum(memory_mb(server.child.pid).values())
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for name in doctors:
            page = chromium.new_context().new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.request.post(f"{server.url}/login", form={"name": name, "password": PASSWORD}, max_redirects=0)
            page.goto(server.url)
            page.wait_for_selector(".deck[data-cell]")
        after = sum(memory_mb(server.child.pid).values())
        used, start = cpu_seconds(server.child.pid), time.monotonic()
        time.sleep(20)
        idle = (cpu_seconds(server.child.pid) - used) / (time.monotonic() - start)
        chromium.close()
    each = (after - before) / len(doctors)
    return f"{len(doctors)} open label pages: {each:.0f} MB each, {idle:.2f} cores while all rest"


def measure_command(words: list[str], home: Path) -> str:
    """Run a command of the program; return what it has taken."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "app.cli", *words, "--home", str(home)]
    most: dict[int, int] = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while child.poll() is None:
            most = max(most, memory_mb(child.pid), key=lambda found: sum(found.values()))
            time.sleep(0.2)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{words[0]} {words[-1]}: {used:.0f} CPU s, at most {sum(most.values())} MB {sorted(most.values())}"


def commands(folder: Path) -> None:
    """Measure the commands that bring files in and vectors out."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        for words in (["ingest", str(folder)], ["detect"], ["embed", "--encoder", "shipped"],
                      ["embed", "--encoder", "handcrafted"], ["pretrain", "--preset=tiny", "--steps=2"]):  # fmt: skip
            print(measure_command(words, home), flush=True)
        print(f"home: {sum(f.stat().st_size for f in home.rglob('*') if f.is_file()) / 1e6:.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["doctors", "commands"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--doctors", default="1,20")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pages", type=int, default=4)
    parser.add_argument("--slides", type=int, default=24)
    arguments = parser.parse_args()
    if arguments.what == "commands":
        commands(arguments.folder)
    else:
        doctors(arguments)


def doctors(arguments: argparse.Namespace) -> None:
    """Measure the server while doctors label."""
    counts = [int(word) for word in arguments.doctors.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        _HOME.append(home)
        services = drawn_study(home, Path(folder) / "drawn", arguments.slides)
        small_vectors(services)
        names = [f"doctor{number}" for number in range(max(counts))]
        for name in names:
            accounts.add_account(services.database, name, "annotator", PASSWORD)
        services.database.close()
        server = Server(home)
        server.start()
        try:
            time.sleep(10)
            print(f"load {os.getloadavg()[0]:.1f}; at rest {memory_mb(server.child.pid)} MB")
            print(open_pages(server, names[: arguments.pages]))
            for count in counts:
                print(measure(server, names[:count], arguments.seconds), flush=True)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
