"""Several workers do what one does; one that is killed loses nothing."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from app.intake import take_in
from app.many_slides import ingest_with, search_with
from app.services import Services
from app.workers import LocalPool, WorkerError, workers_for
from datasets import catalog
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from datasets.finding import find_cells
from datasets.intake_report import IngestOptions
from datasets.public import plan
from datasets.search_report import FindOptions
from tests.worker_items import die, die_once, double

SLIDES = 4
OPTIONS = FindOptions(side_um=64, side_px=256)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn fields as a hospital's folder: pictures without points."""
    folder = tmp_path_factory.mktemp("drawn")
    write_drawn_slides(folder, seed=11, num_slides=SLIDES)
    for table in folder.rglob("*.csv"):
        table.unlink()
    return folder


def cells_found_alone(home: Path, drawn: Path) -> set[str]:
    services = Services.open(home)
    take_in(services, plan(drawn), mpp=DRAWN_MPP)
    find_cells(services.database, home, services.secret_key, OPTIONS)
    return set(catalog.cell_ids(services.database))


def test_pool__works_on_each_item_once() -> None:
    assert sorted(LocalPool(2).run(double, [1, 2, 3])) == [2, 4, 6]


def test_pool__starts_the_items_of_a_killed_worker_again(tmp_path: Path) -> None:
    results = list(LocalPool(2).run(die_once, [tmp_path / "a", tmp_path / "b"]))

    assert sorted(results) == ["a", "b"]


def test_pool__whose_workers_always_die__says_so() -> None:
    with pytest.raises(WorkerError, match="died 3 times in a row, 1 of 1 parts are left"):
        list(LocalPool(2).run(die, [1]))


def test_cluster__that_is_not_there__is_told() -> None:
    with pytest.raises(WorkerError, match="cluster"):
        workers_for(1, "127.0.0.1:1")


def test_two_workers__find_what_one_finds(tmp_path: Path, drawn: Path) -> None:
    alone = cells_found_alone(tmp_path / "one", drawn)
    # The pseudonyms are keyed: the same key, so that the same cells have the same names.
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "secret.key").write_bytes((tmp_path / "one" / "secret.key").read_bytes())
    services, told = Services.open(tmp_path / "two"), []
    sizes = IngestOptions(side_um=64, side_px=256, mpp=DRAWN_MPP)
    taken = ingest_with(LocalPool(2), services, plan(drawn), sizes, lambda *where: told.append(where))
    found = search_with(LocalPool(2), services, OPTIONS, None, lambda *where: None)
    again = ingest_with(LocalPool(2), services, plan(drawn), sizes, lambda *where: None)

    assert (taken.slides, taken.refused, again.slides, again.cells) == (SLIDES, [], 0, 0)
    assert told[-1] == (SLIDES, SLIDES)
    assert (found.slides, found.cells) == (SLIDES, len(alone))
    assert set(catalog.cell_ids(services.database)) == alone


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ray_cluster__whose_worker_is_killed__loses_nothing(
    tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    alone = cells_found_alone(tmp_path / "one", drawn)
    short = tempfile.TemporaryDirectory(prefix="r")  # a socket's path has at most 107 bytes
    request.addfinalizer(short.cleanup)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "secret.key").write_bytes((tmp_path / "one" / "secret.key").read_bytes())
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    start = ["start", "--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats",
             "--node-ip-address=127.0.0.1", "--object-store-memory=100000000", f"--temp-dir={short.name}"]  # fmt: skip
    try:
        start_cluster(ray, start)
        verb = [sys.executable, "-m", "app.cli"]
        home = ["--home", str(tmp_path / "two")]
        subprocess.run([*verb, "ingest", str(drawn), "--mpp", str(DRAWN_MPP), "--cluster", "auto", *home], check=True)
        search = subprocess.Popen([*verb, "detect", "--cluster", "auto", *home])
        kill_a_worker(deadline=time.monotonic() + 120)
        assert search.wait(timeout=240) == 0
    finally:
        subprocess.run([*ray, "stop", "--force"], check=False, capture_output=True, timeout=60)
    assert set(catalog.cell_ids(Services.open(tmp_path / "two").database)) == alone


def start_cluster(ray: list[str], start: list[str]) -> None:
    """Start a cluster; Ray waits half a minute for its own parts, which a busy machine may need for their imports."""
    for _ in range(3):
        told = subprocess.run([*ray, *start], check=False, capture_output=True, text=True, timeout=300)
        if told.returncode == 0:
            return
        subprocess.run([*ray, "stop", "--force"], check=False, capture_output=True, timeout=60)
    raise AssertionError(told.stderr)


def kill_a_worker(deadline: float) -> None:
    """Kill the first process of the cluster that has begun with a slide."""
    while time.monotonic() < deadline:
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                title = entry.read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::_search_part"):
                os.kill(int(entry.parent.name), signal.SIGKILL)
                return
        time.sleep(0.05)
    raise AssertionError("no worker of the cluster took a slide")
