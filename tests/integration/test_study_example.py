"""The example of the guide runs, and what it says is so; the store opens where there is nothing but numpy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.study import open_study

ROOT = Path(__file__).resolve().parents[2]
ALONE = """
import json, sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
rows = {}
for index in sorted(folder.glob("shard-*.json")):
    told, vectors = json.loads(index.read_text()), np.load(index.with_suffix(".npy"), allow_pickle=False)
    assert vectors.shape == (len(told["cells"]), told["dim"]), vectors.shape
    rows |= dict(zip(told["cells"], vectors.astype(float).sum(axis=1).tolist()))
ours = {"torch", "sqlalchemy", "datasets", "labeling", "app", "jepa", "pandas"}
foreign = {name.split(".")[0] for name in sys.modules} & ours
print(json.dumps([rows, sorted(foreign)]))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which the example has run, and what it printed."""
    folder = tmp_path_factory.mktemp("example")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, ROOT / "docs/examples/study.py", folder], env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, done.stdout


def test_example__goes_all_the_way(ran) -> None:
    folder, printed = ran
    exported = pd.read_parquet(folder / "labels.parquet")
    with open_study(folder / "study") as study:
        own, cells = study.labels(annotators=["probe-example"]), study.cells()

    assert f"{len(cells)} cells on 4 slides" in printed
    assert "20 stored, 20 on record, 19 count" in printed
    assert "balanced accuracy on slides left out" in printed
    assert (len(own), own["is_current"].sum(), set(own["confidence"])) == (20, 19, {"unsure"})
    assert (exported["annotator"] == "probe-example").sum() == 20
    assert (exported["kind"] == "reference").sum() == len(cells)
    assert "one picture: (1, 192)" in printed


def test_store__opens_with_numpy_alone(ran) -> None:
    folder, _ = ran
    with open_study(folder / "study") as study:
        expected = study.embeddings().astype(float).sum(axis=1)
        store = study.embeddings_table().schema.metadata[b"encoder_fingerprint"].decode()
    done = subprocess.run([sys.executable, "-P", "-c", ALONE, folder / "study/embeddings" / store], cwd=folder,
                          capture_output=True, text=True, check=True)  # fmt: skip
    rows, foreign = json.loads(done.stdout)

    assert foreign == []
    assert list(rows) == list(expected.index)
    np.testing.assert_allclose(list(rows.values()), expected, rtol=1e-5)
