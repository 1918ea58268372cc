import json
import os
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(os.environ.get("CYTOJEPA_TEST_GOLDEN", Path(__file__).resolve().parents[3].parent / "shared" / "golden"))


@pytest.fixture
def golden():
    if not (GOLDEN / "manifest.json").exists():
        pytest.skip("no golden vectors (set CYTOJEPA_TEST_GOLDEN or put them in ../shared/golden)")
    return GOLDEN


@pytest.fixture
def load_case(golden):
    def load(name):
        sizes = json.loads((golden / f"{name}.json").read_text())
        with np.load(golden / f"{name}.npz") as arrays:
            return sizes, {key: arrays[key] for key in arrays.files}

    return load
