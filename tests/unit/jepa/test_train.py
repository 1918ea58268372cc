"""A whole run in one process: saved, resumed, stopped, in trouble."""

import dataclasses
import json
import logging
import math
import resource
import signal

import numpy as np
import pytest
from safetensors.numpy import load_file

from jepa.config import RunConfig
from jepa.errors import CheckpointError, ConfigError, DataError, DivergedError
from jepa.interrupt import stop_on_signal
from jepa.train import main, pretrain
from tests.builders import noise_pack

TINY = RunConfig(image_px=32, patch_px=8, dim=24, depth=1, heads=2, predictor_dim=16, predictor_depth=1,
                 predictor_heads=2, batch_size=4, steps=6, warmup=0.2, checkpoint_every=2, monitor_every=3,
                 min_context=2)  # fmt: skip


@pytest.fixture
def pack(tmp_path):
    return noise_pack(tmp_path / "pack", tiles=12, side_px=36)


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def curve(run):
    return [(row["step"], row["loss"], row["gradient_norm"]) for row in rows(run)]


def weights(result):
    return load_file(result.checkpoint / "model.safetensors")


@pytest.fixture
def unbroken(tmp_path, pack):
    run = tmp_path / "unbroken"
    return run, pretrain(TINY, pack, run)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resume__after_a_wish_to_stop(tmp_path, pack, precision):
    config = dataclasses.replace(TINY, precision=precision)
    run, whole = tmp_path / "run", tmp_path / "whole"
    unbroken = pretrain(config, pack, whole)
    stopped = pretrain(config, pack, run, should_stop=iter([False, False, True]).__next__)
    resumed = pretrain(config, pack, run, resume=True)

    assert (stopped.stopped, stopped.steps, resumed.stopped) == ("interrupted", 3, "finished")
    assert curve(run) == curve(whole)
    assert [row["step"] for row in rows(run)] == [1, 2, 3, 4, 5, 6]
    assert_same(weights(resumed), weights(unbroken))


def test_resume__lines_after_the_checkpoint_are_not_counted_twice(tmp_path, pack, unbroken):
    """Killed after step 3, saved after step 2, with a torn line at the end."""
    run = tmp_path / "run"

    def die(progress):
        if progress.step == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        pretrain(TINY, pack, run, on_progress=die)
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "lo')
    pretrain(TINY, pack, run, resume=True)

    assert curve(run) == curve(unbroken[0])


def test_resume__damaged_newest_checkpoint(tmp_path, pack, unbroken, caplog):
    run = tmp_path / "run"
    stopped = pretrain(TINY, pack, run, should_stop=lambda: (run / "checkpoints" / "step-0000004").exists())
    (stopped.checkpoint / "optimiser.safetensors").write_bytes(b"")
    resumed = pretrain(TINY, pack, run, resume=True)

    assert "is damaged (its hash differs). The one before is taken." in caplog.text
    assert curve(run) == curve(unbroken[0])
    assert_same(weights(resumed), weights(unbroken[1]))


def test_resume__nothing_there_is_no_new_run(tmp_path, pack):
    with pytest.raises(CheckpointError, match="no whole checkpoint to resume from"):
        pretrain(TINY, pack, tmp_path / "run", resume=True)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_resume__other_tiles(tmp_path, pack):
    pretrain(TINY, pack, tmp_path / "run", should_stop=lambda: True)
    other = noise_pack(tmp_path / "other", tiles=12, side_px=36, seed=1)
    with pytest.raises(CheckpointError, match="its tiles were others"):
        pretrain(TINY, other, tmp_path / "run", resume=True)


def test_small_dataset__refused(tmp_path, pack):
    with pytest.raises(DataError, match="11 training tiles are fewer than one batch of 16"):
        pretrain(dataclasses.replace(TINY, batch_size=16), pack, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_diverged__stops_before_the_update_and_can_be_resumed(tmp_path, pack, unbroken, caplog):
    """A learning rate that explodes after a good start: the last good state is saved, the tiles are named."""
    run = tmp_path / "run"
    pretrain(TINY, pack, run, should_stop=iter([False, False, True]).__next__)
    wild = dataclasses.replace(TINY, lr=1e30, start_lr=1e30, clip_norm=None)
    with pytest.raises(DivergedError, match="The weights before it are saved; lower lr and resume") as raised:
        pretrain(wild, pack, run, resume=True)
    newest = max((run / "checkpoints").iterdir())

    assert len(raised.value.tiles) == 4
    assert newest.name == f"step-{raised.value.step:07d}"
    assert f"tiles {list(raised.value.tiles)}" in caplog.text
    assert all(np.isfinite(value).all() for value in load_file(newest / "model.safetensors").values())
    assert [row["step"] for row in rows(run)] == list(range(1, raised.value.step + 1))
    if raised.value.step == 3:
        resumed = pretrain(TINY, pack, run, resume=True)
        assert_same(weights(resumed), weights(unbroken[1]))


@pytest.fixture
def file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))

    yield limit
    limit(None)


def test_full_disk__told_and_survived(tmp_path, pack, unbroken, caplog, file_limit):
    """No room from step 3 to step 5: the checkpoint of step 4 fails, the run goes on and ends whole."""
    run = tmp_path / "run"

    def fill(progress):
        if progress.step in (3, 5):
            file_limit(3000 if progress.step == 3 else None)

    with caplog.at_level(logging.WARNING):
        result = pretrain(TINY, pack, run, on_progress=fill)

    assert "step 4: the checkpoint cannot be saved (File too large)" in caplog.text
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-0000002", "step-0000006"]
    assert curve(run) == curve(unbroken[0])
    assert_same(weights(result), weights(unbroken[1]))


def test_full_disk__at_the_end_says_what_is_whole(tmp_path, pack, unbroken, file_limit):
    run = tmp_path / "run"
    with pytest.raises(CheckpointError, match="the state after step 6 could not be saved, the disk is full"):
        pretrain(TINY, pack, run, on_progress=lambda p: file_limit(3000) if p.step == 3 else None)
    file_limit(None)
    resumed = pretrain(TINY, pack, run, resume=True)

    assert_same(weights(resumed), weights(unbroken[1]))
    assert curve(run) == curve(unbroken[0])


def test_full_disk__metrics_wait_in_memory(tmp_path, pack, unbroken, caplog, file_limit):
    run = tmp_path / "run"
    pretrain(TINY, pack, run, on_progress=lambda p: file_limit(200 if p.step < 5 else None))

    assert caplog.text.count("metrics.jsonl cannot be written") == 1
    assert curve(run) == curve(unbroken[0])


def test_time_limit(tmp_path, pack):
    result = pretrain(dataclasses.replace(TINY, max_minutes=1e-9), pack, tmp_path / "run")

    assert (result.stopped, result.steps) == ("time", 1)


def test_epochs__decide_the_steps(tmp_path, pack):
    config = dataclasses.replace(TINY, epochs=3, warmup_epochs=1)
    result = pretrain(config, pack, tmp_path / "run", should_stop=lambda: True)
    kept = json.loads((tmp_path / "run" / "config.json").read_text())

    assert (kept["steps"], kept["warmup"], result.steps) == (6, pytest.approx(1 / 3), 1)


def test_finished_run__resumed_again_keeps_its_numbers(tmp_path, pack, unbroken):
    run, result = unbroken
    again = pretrain(TINY, pack, run, resume=True)

    assert (again.fingerprint, again.steps, again.loss) == (result.fingerprint, 6, result.loss)
    assert math.isfinite(again.images_per_second)


@pytest.mark.parametrize("change", [{"mask_rule": "published"}, {"crop_scale": (0.3, 1.0), "dihedral": False},
                                    {"precision": "bfloat16"}, {"target_passes": "separate"}])  # fmt: skip
def test_options__run_and_change_the_result(tmp_path, pack, unbroken, change):
    config = dataclasses.replace(TINY, **change, patch_px=4)
    result = pretrain(config, pack, tmp_path / "run")

    assert math.isfinite(result.loss)
    assert result.fingerprint != unbroken[1].fingerprint


def test_command__runs_resumes_and_says_why_not(tmp_path, pack, capsys):
    run_file = tmp_path / "run.toml"
    run_file.write_text(TINY.to_toml())
    common = ["--pack", str(pack), "--out", str(tmp_path / "run")]

    assert main([str(run_file), *common, "--set", "steps=2"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["steps"], first["stopped"]) == (2, "finished")
    assert main([*common, "--resume", "--set", "steps=4"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 4
    assert main([*common, "--resume", "--set", "steps"]) == 1
    assert capsys.readouterr().err == "--set steps: write it as key=value.\n"
    checkpoint = first["checkpoint"].replace("step-0000002", "step-0000004")
    assert main([str(run_file), "--pack", str(pack), "--out", str(tmp_path / "b"), "--init", checkpoint]) == 0


def test_command__interrupted_by_signal(tmp_path, pack, capsys):
    """Ctrl-C in the middle of a run: it ends after the step, saved."""
    config = dataclasses.replace(TINY, steps=1000)
    run = tmp_path / "run"

    def ctrl_c(progress):
        if progress.step == 4:
            signal.raise_signal(signal.SIGINT)

    with stop_on_signal() as wish:
        result = pretrain(config, pack, run, on_progress=ctrl_c, should_stop=wish)

    assert (result.stopped, result.steps) == ("interrupted", 5)
    assert result.checkpoint.name == "step-0000005"


def test_stop_on_signal__second_one_interrupts():
    with pytest.raises(KeyboardInterrupt), stop_on_signal() as wish:  # noqa: PT012  the second signal raises
        signal.raise_signal(signal.SIGTERM)
        assert wish()
        signal.raise_signal(signal.SIGTERM)


def test_options__that_make_no_sense():
    with pytest.raises(ConfigError, match=r"schedule_scale is at least 1\. warmup_epochs needs epochs\."):
        dataclasses.replace(TINY, schedule_scale=0.5, warmup_epochs=2)
    for many_lengths in ({"mask_rule": "published"}, {"target_passes": "union"}):
        with pytest.raises(ConfigError, match="compile needs few lengths of masks"):
            dataclasses.replace(TINY, compile=True, **many_lengths)
