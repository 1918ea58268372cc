"""Power cuts while labelling: every label that was acknowledged is on the disk, and the chain is whole.

The disk is told by a library that is preloaded into the labelling process: of every file it keeps what was
there at its last sync, and nothing else. That is the worst that a power cut may do to files that are only
ever appended to or overwritten; it knows neither torn sectors nor disks that lie.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from app.services import Services
from labeling.records import Label
from labeling.verification import check_chain
from tests.builders import study_of_cells

SOURCE = Path(__file__).parents[1] / "powercut.c"
DATABASE_FILES = "catalog.sqlite*"
LEAST = 12
"""Labels before each power cut, however slow the machine is."""
LABELLER = """
import os, sys
from pathlib import Path
from sqlalchemy import event
from app.services import Services
from labeling.labels import LabelEvent, record
services, number, level = Services.open(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
if level != "as it is":
    event.listen(services.database._store.engine, "checkout", lambda c, *_: c.execute(f"PRAGMA synchronous={level}"))
while True:
    event = LabelEvent(key=f"k{number}", cell_id=f"CE-{number % 400:05d}", category="HSIL")
    assert record(services.database, "ada", [event], label_set=services.label_set)[0].accepted
    os.write(1, number.to_bytes(4, "big"))
    number += 1
"""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler, or not Linux: the recorder of synced bytes cannot be built")
    library = tmp_path_factory.mktemp("recorder") / "powercut.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl", "-lpthread"], check=True)
    return library


def _label_until_the_power_goes(home: Path, disk: Path, recorder: Path, first: int, seconds: float, level: str) -> int:
    """Label, cut the power, and let the home be what the disk holds; return the number after the last acknowledged."""
    disk.mkdir()
    for path in home.glob(DATABASE_FILES):  # what was there when the machine started
        if not path.name.endswith(("-shm", ".wlock")):
            shutil.copy(path, disk)
    environment = {**os.environ, "LD_PRELOAD": str(recorder), "POWERCUT_FOLDER": str(home), "POWERCUT_DISK": str(disk)}
    child = subprocess.Popen([sys.executable, "-c", LABELLER, str(home), str(first), level], env=environment,
                             stdout=subprocess.PIPE)  # fmt: skip
    told = b""
    while len(told) < 4 * LEAST:
        told += os.read(child.stdout.fileno(), 4) or pytest.fail("the labelling process ended by itself")
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    told += child.stdout.read()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    for path in home.glob(DATABASE_FILES):
        path.unlink()
    for path in disk.iterdir():
        if not path.name.startswith("."):
            shutil.copy(path, home)
    shutil.rmtree(disk)
    return first + len(told) // 4


def _cuts(tmp_path: Path, recorder: Path, count: int, level: str) -> tuple[int, int]:
    """Return how many labels were acknowledged, and how many of them are gone."""
    home, generator, first, lost = tmp_path / "home", random.Random(3), 0, 0
    study_of_cells(home, 400).database.close()
    for _ in range(count):
        after = _label_until_the_power_goes(
            home, tmp_path / "disk", recorder, first, generator.uniform(0.2, 1.0), level
        )
        services = Services.open(home)
        with services.database.read() as session:
            stored = set(session.scalars(select(Label.key)))
        lost += len({f"k{number}" for number in range(first, after)} - stored)
        chain, problems = check_chain(services.database), services.database.integrity_problems()
        first = max(after, 1 + max((int(key[1:]) for key in stored), default=-1))
        assert problems == []
        assert chain.events == len(stored)
        if not lost:
            assert chain.problems == ()
        services.database.close()
    return first, lost


def test_power_cuts__no_acknowledged_label_is_lost(tmp_path: Path, recorder: Path) -> None:
    labels, lost = _cuts(tmp_path, recorder, 4, "as it is")

    assert labels > 20
    assert lost == 0


def test_control__synchronous_normal_loses_labels(tmp_path: Path, recorder: Path) -> None:
    """Else the test above could not fail."""
    labels, lost = _cuts(tmp_path, recorder, 2, "NORMAL")

    assert labels > 20
    assert lost > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_power_cuts__no_acknowledged_label_is_lost(tmp_path: Path, recorder: Path) -> None:
    labels, lost = _cuts(tmp_path, recorder, 30, "as it is")

    assert labels > 300
    assert lost == 0
