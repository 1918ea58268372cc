"""An export that is stopped, or killed, leaves what was there before and nothing half."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datasets import catalog
from datasets.crops import encode_png
from labeling.export import FORMATS, export_labels
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
def told(done, total):
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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in (*FORMATS, ZIPPED)]
)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_export__stopped_in_the_middle_leaves_no_half_file(
    study, tmp_path: Path, name: str, how: signal.Signals
) -> None:
    name, ending = name.partition(".")[::2]
    is_file = bool(ending) or name not in FOLDERS
    out = tmp_path / (f"out.{ending or name}" if is_file else "out")
    if is_file:
        out.write_text("old")
    else:
        out.mkdir()
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(study.home), name, str(out)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert child.stdout.readline() == "working\n", child.stderr.read()
    os.kill(child.pid, how)
    child.communicate(timeout=120)

    assert out.read_text() == "old" if is_file else list(out.iterdir()) == []
    if how == signal.SIGINT:
        assert [p.name for p in tmp_path.iterdir()] == [out.name]
    report = export_labels(study.database, name, out, label_set=study.label_set)
    assert report.rows > 0
    assert [p.name for p in tmp_path.iterdir()] == [out.name], "what a killed one left is gone after the next"
