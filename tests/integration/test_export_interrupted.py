"""An export that is stopped, or killed, leaves what was there before and nothing half."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from app.sign_in import PUBLIC
from datasets import catalog
from datasets.crops import encode_png
from labeling import tokens
from labeling.export import FORMATS, export_labels
from tests.api_site import Site
from tests.builders import study_of_vectors

FOLDERS = ("dicom-ann", "imagefolder", "webdataset")
ZIPPED = "imagefolder.zip"
QUICK = ("csv",)
"""The others are tried at night: each child takes seconds to start."""
# A parent that runs in the background hands on that Ctrl-C is ignored.
CHILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from app.services import Services
from labeling.export import export_labels
services = Services.open(Path(sys.argv[1]))
def told(stage, done, total):
    if stage == sys.argv[4]:
        print("working", flush=True)
        time.sleep(600)
export_labels(services.database, sys.argv[2], Path(sys.argv[3]), label_set=services.label_set, on_progress=told)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    """A study of 1,000 labels: progress is told in the middle of them."""
    services = study_of_vectors(tmp_path_factory.mktemp("stop") / "home", slides=5, cells_per_slide=100)
    import numpy as np

    picture = encode_png(np.zeros((8, 8, 3), np.uint8))
    for cell_id in catalog.cell_ids(services.database):
        path = catalog.crop_path(services.home, cell_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    yield services
    services.database.close()


@pytest.mark.parametrize(("name", "stage"), [
    *(pytest.param(name, "rows", marks=() if name in QUICK else pytest.mark.slow) for name in (*FORMATS, ZIPPED)),
    pytest.param(ZIPPED, "packed", marks=pytest.mark.slow),
    pytest.param("webdataset", "checked", marks=pytest.mark.slow),
])  # fmt: skip
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_export__stopped_in_the_middle_leaves_no_half_file(
    study, tmp_path: Path, name: str, stage: str, how: signal.Signals
) -> None:
    name, ending = name.partition(".")[::2]
    is_file = bool(ending) or name not in FOLDERS
    out = tmp_path / (f"out.{ending or name}" if is_file else "out")
    if is_file:
        out.write_text("old")
    else:
        out.mkdir()
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(study.home), name, str(out), stage],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert child.stdout.readline() == "working\n", child.stderr.read()
    os.kill(child.pid, how)
    child.communicate(timeout=120)

    assert out.read_text() == "old" if is_file else list(out.iterdir()) == []
    if how == signal.SIGINT:
        assert [p.name for p in tmp_path.iterdir()] == [out.name]
    report = export_labels(study.database, name, out, label_set=study.label_set)
    assert report.rows > 0
    assert [p.name for p in tmp_path.iterdir()] == [out.name], "what a killed one left is gone after the next"


def test_progress__every_stage_is_told_from_its_beginning_to_its_end(study, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = export_labels(study.database, "imagefolder", tmp_path / "out.zip", label_set=study.label_set,
                           on_progress=lambda *said: told.append(said))  # fmt: skip

    files = report.rows + 1  # and the table of them
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["rows", "packed", "checked"]
    assert ("rows", report.rows, report.rows) in told
    assert [done for stage, done, total in told if stage == "packed" and total == files] == [0, files]
    assert told[-2:] == [("checked", 0, 1), ("checked", 1, 1)]


def test_progress__reference_labels_are_counted_beforehand(study, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = export_labels(study.database, "csv", tmp_path / "out.csv", label_set=study.label_set,
                           on_progress=lambda *said: told.append(said))  # fmt: skip

    at_most = 1000 + 500  # labels, and a reference label of each cell unless its answers tie
    assert 1000 < report.rows <= at_most
    assert [row for row in told if row[0] == "rows"] == [
        ("rows", 500, at_most), ("rows", 1000, at_most), ("rows", report.rows, report.rows)
    ]  # fmt: skip


def _open_files() -> list[str]:
    names = []
    for number in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the listing's own
            names.append(str(number.readlink()))
    return names


def test_export__whose_asker_goes_before_its_first_byte_keeps_no_file_open(tmp_path: Path) -> None:
    site = Site(tmp_path / "home", tmp_path / "drawn")
    begun, secret = asyncio.Event(), tokens.create(site.database, "data-manager", "test").secret
    scope = {"type": "http", "method": "GET", "path": f"{PUBLIC}/export/csv", "query_string": b"", "root_path": "",
             "scheme": "http", "http_version": "1.1", "client": ("testclient", 1), "server": ("testserver", 80),
             "headers": [(b"host", b"testserver"), (b"authorization", f"Bearer {secret}".encode())]}  # fmt: skip

    async def send(_message: dict) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def receive() -> dict:
        await begun.wait()
        assert any("labels.csv (deleted)" in name for name in _open_files())
        return {"type": "http.disconnect"}

    asyncio.run(site.app(scope, receive, send))
    assert not [name for name in _open_files() if "labels.csv" in name]
    site.database.close()
