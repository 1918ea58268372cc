import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

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


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Networks this small only wait for each other on several threads, most of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
