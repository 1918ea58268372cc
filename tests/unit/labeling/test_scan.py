"""One pass over the pool says what the probe says, whatever the chunks."""

import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from datasets.embeddings import Stack
from labeling.acquisition import margin, rarity_margin
from labeling.fitting import Fit
from labeling.probes import LinearProbe
from labeling.scan import ScanWeights, margin_columns, scan, softmax_columns
from labeling.scoring import score_pool


def _study(rows: int = 400, dim: int = 24) -> tuple[np.ndarray, LinearProbe]:
    generator = np.random.default_rng(3)
    vectors = (generator.normal(size=(rows, dim)) * generator.uniform(0.1, 30, dim)).astype(np.float16)
    return vectors, LinearProbe().fit(vectors[:60].astype(float), np.arange(60) % 5)


def test_scan__equals_the_probe() -> None:
    vectors, probe = _study()
    found = np.concatenate([logits for _, logits in scan(vectors, ScanWeights.of(probe), 64)], axis=1).T
    wanted = probe.logits(vectors)

    assert np.abs(found - (wanted - wanted[:, -1:])).max() < 1e-4
    assert np.abs(softmax(found, axis=1) - probe.predict_proba(vectors)).max() < 1e-5


def test_scan__of_two_classes_many_classes_and_vectors_of_other_precision() -> None:
    generator = np.random.default_rng(5)
    for dim, classes, kind in ((24, 2, np.float16), (1280, 24, np.float16), (24, 5, np.float64)):
        vectors = generator.normal(size=(300, dim)).astype(kind)
        probe = LinearProbe().fit(vectors[:60].astype(float), np.arange(60) % classes)
        found = np.concatenate([logits for _, logits in scan(vectors, ScanWeights.of(probe), 128)], axis=1).T

        assert np.abs(softmax(found, axis=1) - probe.predict_proba(vectors)).max() < 1e-5


@given(st.integers(1, 500))
@settings(max_examples=15, deadline=None)
def test_scan__chunks_and_shards_make_no_difference(chunk: int) -> None:
    vectors, probe = _study()
    stack = Stack([vectors[:100], vectors[100:130], vectors[130:]])
    weights = ScanWeights.of(probe)
    whole = next(iter(scan(vectors, weights, 1000)))[1]
    parts = np.concatenate([logits for _, logits in scan(stack, weights, chunk)], axis=1)

    assert np.allclose(parts, whole, atol=1e-4)


def test_stack__reads_like_the_joined_array() -> None:
    vectors = _study()[0][:50]
    stack = Stack([vectors[:7], vectors[7:8], vectors[8:50]])
    places = np.array([49, 0, 7, 7, 8, 3])

    assert np.array_equal(stack[places], vectors[places])
    assert np.array_equal(stack[5:9], vectors[5:9])
    assert np.array_equal(stack[::9], vectors[::9])
    assert (len(stack), stack.shape, stack[3:3].shape) == (50, (50, 24), (0, 24))


def test_columns__equal_the_rules_by_row() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 200)).astype(np.float32)
    probabilities = softmax_columns(logits)

    assert np.allclose(probabilities.T, softmax(logits.T, axis=1), atol=1e-6)
    assert np.allclose(margin_columns(probabilities), margin(probabilities.T), atol=1e-6)


def test_score_pool__is_the_default_rule_and_keeps_what_doctors_see(tmp_path) -> None:
    vectors, probe = _study()
    probe.set_params(temperature=1.4)
    counts, prior = np.array([5.0, 1, 2, 9, 40]), np.array([0.9, 0.04, 0.02, 0.02, 0.02])
    plain = score_pool(vectors, Fit(probe=probe, prior=None, counts=counts, metrics={}))
    shifted = score_pool(
        vectors, Fit(probe=probe, prior=prior, counts=counts, metrics={}), path=tmp_path / "p" / "probabilities.npy"
    )

    assert np.abs(plain.scores - rarity_margin(probe.predict_proba(vectors), counts)).max() < 1e-5
    assert np.abs(plain.probabilities - probe.predict_proba(vectors)).max() < 3e-4
    assert np.array_equal(plain.scores, shifted.scores)
    wanted = probe.predict_proba(vectors) * prior
    assert np.abs(shifted.probabilities - wanted / wanted.sum(axis=1, keepdims=True)).max() < 3e-4
    assert np.array_equal(np.load(tmp_path / "p" / "probabilities.npy"), shifted.probabilities)
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["probabilities.npy"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_keep_freed_memory__the_system_is_asked_once() -> None:
    told = """if True:
        import resource, sys
        import numpy as np
        from labeling.pool import keep_freed_memory
        if sys.argv[1] == "keep":
            keep_freed_memory()
        for turn in range(30):
            held = [np.ones(300_000, np.float32) for _ in range(6)]
            del held
            if turn == 4:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"""
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", told, way], capture_output=True, text=True, check=True).stdout)
        for way in ("keep", "give back")
    )

    assert kept < 500 < 5_000 < given_back
