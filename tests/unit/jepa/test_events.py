from jepa.events import EventFiles
from jepa.runlog import read_metrics
from tests.tensorboard_events import read_scalars


def test_events__numbers_become_curves(tmp_path):
    files = EventFiles(tmp_path, first_step=0)
    for step in (1, 2, 4):
        files.add({"step": step, "loss": 1 / step, "rankme": None, "warning": "collapse"})
    files.add({"step": 5, "loss": float("nan")})
    files.close()

    assert read_scalars(tmp_path / "tensorboard") == {"loss": {1: 1.0, 2: 0.5, 4: 0.25}}


def test_events__a_resumed_run_replaces_what_it_repeats(tmp_path):
    for first_step, value in ((0, 1.0), (1, 9.0)):
        files = EventFiles(tmp_path, first_step=first_step)
        for step in range(first_step + 1, 4):
            files.add({"step": step, "loss": value})
        files.close()

    assert read_scalars(tmp_path / "tensorboard")["loss"] == {1: 1.0, 2: 9.0, 3: 9.0}


def test_read_metrics__torn_last_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')

    assert read_metrics(tmp_path) == [{"step": 1, "loss": 2.0}]
    assert read_metrics(tmp_path / "nowhere") == []
