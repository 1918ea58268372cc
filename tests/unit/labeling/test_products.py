"""The compiled products are those of numpy, whatever the shapes, and read nothing beside the rows."""

import subprocess
import sys

import numpy as np
import pytest

from labeling import scan as scan_module
from labeling.probes import LinearProbe
from labeling.products import Products, products_of
from labeling.scan import ScanWeights, scan

pytestmark = pytest.mark.skipif(
    products_of(np.zeros((16, 1), np.float32)) is None, reason="this processor does not convert float16 itself"
)
LANES = (8, 16)
"""Registers of AVX2 and of AVX-512; LLVM takes a long one apart where the processor has short ones."""


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("width", "columns", "count"), [
    (384, 6, 1001), (16, 1, 1), (17, 6, 2), (31, 1, 7), (223, 8, 1300), (1280, 13, 515),
])  # fmt: skip
def test_multiply__equals_numpy(lanes: int, width: int, columns: int, count: int) -> None:
    generator = np.random.default_rng(width)
    around = np.full((count + 40, width), np.nan, np.float16)
    rows = around[20 : 20 + count]
    rows[:] = generator.normal(size=rows.shape)
    weights = generator.normal(size=(width, columns)).astype(np.float32)
    out = np.full((columns + 1, count), 7, np.float32)
    Products(weights, lanes).multiply(rows, out[:-1])
    wanted = rows.astype(np.float64) @ weights

    assert np.abs(out[:-1].T - wanted).max() < 1e-5 * np.sqrt(width)
    assert (out[-1] == 7).all()


@pytest.mark.parametrize("lanes", LANES)
def test_multiply__keeps_every_bit_of_small_and_large_numbers(lanes: int) -> None:
    rows = np.zeros((4, 24), np.float16)
    rows[[0, 1, 2], [3, 17, 23]] = np.array([6e-8, -65504, 0.1], np.float16)
    out = np.empty((1, 4), np.float32)
    Products(np.ones((24, 1), np.float32), lanes).multiply(rows, out)

    assert np.array_equal(out[0], rows.astype(np.float32).sum(axis=1))


def test_scan__is_the_same_compiled_and_not(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(700, 40)).astype(np.float16)
    weights = ScanWeights.of(LinearProbe().fit(vectors[:60].astype(float), np.arange(60) % 8))
    plain = np.concatenate([logits for _, logits in scan(vectors, weights, 256)], axis=1)
    monkeypatch.setattr(scan_module, "FEWEST_FOR_COMPILED", 1)
    calls: list[int] = []
    multiply = Products.multiply
    monkeypatch.setattr(Products, "multiply", lambda *rest: (calls.append(1), multiply(*rest)))
    compiled = np.concatenate([logits for _, logits in scan(vectors, weights, 256)], axis=1)
    single = np.concatenate([logits for _, logits in scan(vectors.astype(np.float32), weights, 256)], axis=1)

    assert len(calls) == 3, "the compiled products were not used, or for vectors that are not float16"
    assert np.abs(plain - compiled).max() < 1e-5
    assert np.array_equal(plain, single)


def test_products_of__leaves_short_rows_to_numpy() -> None:
    assert products_of(np.zeros((4, 2), np.float32)) is None


def test_products_of__where_nothing_written_may_run_leaves_all_to_numpy() -> None:
    """As under systemd's MemoryDenyWriteExecute: calling what was compiled would end the process."""
    program = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN: Linux 6.3
    sys.exit("this kernel has no such mode")
import numpy as np
from labeling.products import products_of
print(products_of(np.zeros((16, 1), np.float32)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    if "no such mode" in done.stderr:
        pytest.skip(done.stderr.strip())

    assert (done.returncode, done.stdout.strip()) == (0, "None")
