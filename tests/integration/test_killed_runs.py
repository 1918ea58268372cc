"""Kill -9 at random moments, then resume: nobody can tell the run from an unbroken one."""

import dataclasses
import json
import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from jepa.config import RunConfig
from jepa.train import pretrain
from tests.builders import noise_pack

TINY = RunConfig(
    image_px=32,
    patch_px=4,
    dim=24,
    depth=2,
    heads=2,
    predictor_dim=16,
    predictor_depth=1,
    predictor_heads=2,
    batch_size=4,
    steps=60,
    warmup=0.2,
    checkpoint_every=3,
    monitor_every=7,
)


def run_in_child(config: RunConfig, pack: Path, run: Path, *, resume: bool):
    def work():
        torch.set_num_threads(1)
        pretrain(config, pack, run, resume=resume)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    return child


def has_checkpoint(run: Path) -> bool:
    return any((run / "checkpoints").glob("step-*/manifest.json"))


def last_step(run: Path) -> int:
    """Return how far a run is that may be writing right now."""
    log = run / "metrics.jsonl"
    whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
    return json.loads(whole.rpartition("\n")[2])["step"] if whole else 0


def curve(run: Path):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"], row["gradient_norm"]) for row in rows]


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_run__curve_and_weights_equal_the_unbroken_run(tmp_path, kills):
    config = dataclasses.replace(TINY, steps=15 * kills)
    pack = noise_pack(tmp_path / "pack", tiles=24, side_px=36)
    unbroken = run_in_child(config, pack, tmp_path / "unbroken", resume=False)
    unbroken.join(240)
    assert unbroken.exitcode == 0

    chance, run, hits = random.Random(20), tmp_path / "run", 0
    for _ in range(kills):
        child = run_in_child(config, pack, run, resume=has_checkpoint(run))
        goal = last_step(run) + chance.randint(1, 12)
        while child.is_alive() and last_step(run) < goal:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.03))
        child.kill()
        child.join(60)
        hits += child.exitcode == -9
    last = run_in_child(config, pack, run, resume=has_checkpoint(run))
    last.join(240)

    assert last.exitcode == 0
    assert hits >= kills // 2, "the kills came after the end of the run"
    curves = [curve(folder) for folder in (run, tmp_path / "unbroken")]
    assert [step for step, _, _ in curves[0]] == list(range(1, config.steps + 1))
    assert curves[0] == curves[1]
    newest = f"checkpoints/step-{config.steps:07d}"
    for name in ("model.safetensors", "optimiser.safetensors"):
        found, expected = (load_file(folder / newest / name) for folder in (run, tmp_path / "unbroken"))
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[key], value) for key, value in expected.items())
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "unbroken" / "checkpoints").iterdir())
