"""Processes that `torchrun` starts train as one does with the whole batch (gloo, CPU)."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from jepa.config import RunConfig
from jepa.train import pretrain
from tests.builders import noise_pack

TINY = RunConfig(image_px=32, patch_px=4, dim=24, depth=2, heads=2, predictor_dim=16, predictor_depth=1,
                 predictor_heads=2, batch_size=8, steps=6, warmup=0.2, checkpoint_every=3, monitor_every=3)  # fmt: skip


@pytest.fixture
def pack(tmp_path):
    return noise_pack(tmp_path / "pack", tiles=40, side_px=36)


def environment(**changes):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "TORCHELASTIC_"))}
    return kept | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | changes


def processes_that_run(*arguments, processes=2):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [*command, *map(str, arguments)], env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def torchrun(tmp_path, pack, run, config, *arguments, processes=2):
    run_file = tmp_path / "run.toml"
    run_file.write_text(config.to_toml())
    command = ["-m", "jepa.train", *arguments, "--pack", pack, "--out", run]
    if "--resume" not in arguments:
        command.append(run_file)
    return processes_that_run(*command, processes=processes)


def finish(process):
    out, err = process.communicate(timeout=600)

    assert process.returncode == 0, err
    return json.loads(out)


def curve(run: Path):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_near(found, expected):
    """Equal but for the order of sums; the keys' biases are left out, their gradients are only rounding."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        own, wanted = found[name].copy(), value.copy()
        if name.endswith("attn.qkv.bias"):
            third = len(own) // 3
            own[third : 2 * third] = wanted[third : 2 * third] = 0
        np.testing.assert_allclose(own, wanted, rtol=0, atol=1e-5, err_msg=name)


ENDS = """
import json, sys
from pathlib import Path
from jepa.config import RunConfig
from jepa.distributed import open_world
from jepa.train import pretrain

with open_world() as world:
    pretrain(RunConfig.from_toml(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))
if world.is_first:
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    print(json.dumps(names))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted through /proc")
def test_a_world_that_is_left__leaves_no_thread_that_could_abort_the_end(tmp_path, pack):
    (tmp_path / "ends.py").write_text(ENDS)
    (tmp_path / "run.toml").write_text(dataclasses.replace(TINY, steps=2).to_toml())

    names = finish(processes_that_run(tmp_path / "ends.py", tmp_path / "run.toml", pack, tmp_path / "run"))

    assert "python" in names
    assert not [name for name in names if "gloo" in name]


@pytest.mark.parametrize("sharding", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_processes__equal_one_with_the_whole_batch(tmp_path, pack, sharding):
    config = dataclasses.replace(TINY, sharding=sharding)
    alone = pretrain(config, pack, tmp_path / "alone")
    result = finish(torchrun(tmp_path, pack, tmp_path / "both", config))
    found, expected = curve(tmp_path / "both"), curve(tmp_path / "alone")

    assert (result["steps"], result["stopped"]) == (6, "finished")
    assert [row["step"] for row in found] == [1, 2, 3, 4, 5, 6]
    for key in ("loss", "gradient_norm"):
        assert [row[key] for row in found] == pytest.approx([row[key] for row in expected], rel=1e-5)
    assert found[-1]["rankme"] == pytest.approx(expected[-1]["rankme"], rel=1e-3)
    for name in ("model.safetensors", "optimiser.safetensors"):
        assert_near(load_file(Path(result["checkpoint"]) / name), load_file(alone.checkpoint / name))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile builds with a C++ compiler: Debian's package g++")
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_compiled__two_processes_learn_the_same(tmp_path, pack, sharding):
    pretrain(TINY, pack, tmp_path / "alone")
    finish(torchrun(tmp_path, pack, tmp_path / "both", dataclasses.replace(TINY, sharding=sharding, compile=True)))
    found, expected = ([row["loss"] for row in curve(tmp_path / run)] for run in ("both", "alone"))

    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_resume__with_another_number_of_processes(tmp_path, pack, sharding):
    """Begun by two, killed, gone on by one, and the other way round: the run stays the same run."""
    config = dataclasses.replace(TINY, sharding=sharding)
    alone = pretrain(config, pack, tmp_path / "alone")
    run = tmp_path / "run"
    first = finish(torchrun(tmp_path, pack, run, config, "--set", "max_minutes=1e-9"))
    assert (first["stopped"], first["steps"]) == ("time", 1)
    pretrain(dataclasses.replace(config, max_minutes=1e-9), pack, run, resume=True)
    result = finish(torchrun(tmp_path, pack, run, config, "--resume", "--set", "max_minutes=none"))

    assert result["steps"] == 6
    assert_near(load_file(Path(result["checkpoint"]) / "model.safetensors"),
                load_file(alone.checkpoint / "model.safetensors"))  # fmt: skip


@pytest.mark.slow
def test_ctrl_c__all_processes_stop_after_the_same_step(tmp_path, pack):
    run = tmp_path / "run"
    process = torchrun(tmp_path, pack, run, dataclasses.replace(TINY, steps=100_000))
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    newest = max((run / "checkpoints").iterdir())

    assert (newest / "manifest.json").exists(), err
    assert json.loads((newest / "manifest.json").read_text())["step"] == len(curve(run))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "batch_size=5"], "batch_size = 5 is no multiple of 2 processes"),
        (["--resume"], "no whole checkpoint to resume from"),
    ],
)
def test_failure__stops_all_with_a_sentence(tmp_path, pack, arguments, sentence):
    run = tmp_path / "run"
    if "--resume" in arguments:
        run.mkdir()
        (run / "config.json").write_text(json.dumps(TINY.to_dict()))
    process = torchrun(tmp_path, pack, run, TINY, *arguments)
    _, err = process.communicate(timeout=240)

    assert process.returncode != 0
    assert sentence in err
    assert not (run / "checkpoints").exists()
