import json
import os

import pytest

from app.runs import MEASURES, MOST_POINTS, QUIET_SECONDS, read_run, summary
from jepa.monitor import Health

LOOK = {"rankme": 10.0, "feature_std": 0.5, "mean_cosine": 0.4}


@pytest.fixture
def folder(tmp_path):
    def make(name, rows, steps=100, saved=0):
        path = tmp_path / name
        (path / "checkpoints" / f"step-{saved:07d}").mkdir(parents=True)
        (path / "config.json").write_text(json.dumps({"steps": steps}))
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return make


def _rows(count, **last):
    rows = [{"step": step, "loss": float(step), "images_per_second": 5.0} for step in range(1, count + 1)]
    rows[-1] |= last
    return rows


def test_state__running_stopped_finished(folder):
    running, saved, done = folder("a", _rows(50)), folder("b", _rows(50), saved=50), folder("c", _rows(100))
    silent = folder("d", _rows(50))
    past = silent.joinpath("metrics.jsonl").stat().st_mtime - QUIET_SECONDS - 10
    os.utime(silent / "metrics.jsonl", (past, past))

    assert [read_run(path).state for path in (running, saved, done, silent)] == [
        "running", "stopped", "finished", "stopped",
    ]  # fmt: skip


def test_curve__long_ones_are_means(folder):
    curve = read_run(folder("a", _rows(3000), steps=3000)).curve("loss")

    assert len(curve) == MOST_POINTS
    assert curve["value"].iloc[0] == pytest.approx(5.5)
    assert curve["value"].mean() == pytest.approx(1500.5)


def test_warning__only_the_newest_look_stands(folder):
    rows = [*_rows(10, **LOOK, warning="collapse: alike."), {**_rows(11)[-1], **LOOK}]
    run = read_run(folder("a", rows))

    assert run.standing_warning is None
    assert run.collapses == [(10, "collapse: alike.")]
    assert summary([run])["rank"].tolist() == [10.0]


def test_run__not_begun(tmp_path):
    run = read_run(tmp_path)

    assert (run.step, run.curve("loss").empty, run.newest("rankme")) == (0, True, None)


def test_measures__are_what_a_look_gives():
    looked_at = {measure.name for measure in MEASURES} - {"loss", "images_per_second"}

    assert looked_at == set(Health.__slots__) - {"knn_chance"}
