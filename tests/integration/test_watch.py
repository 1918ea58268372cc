"""A run is watched: measures, files, a warning in words, labels only for looking."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.services import Services
from app.training import labels_for, tiles_for
from jepa.config import RunConfig
from jepa.runlog import read_metrics
from jepa.train import pretrain
from jepa.watch import TileLabels
from labeling import leases
from labeling.labels import LabelEvent, record
from tests.builders import drawn_study
from tests.tensorboard_events import read_scalars

TINY = RunConfig(image_px=64, patch_px=16, dim=48, depth=2, heads=3, predictor_dim=24, predictor_depth=1,
                 predictor_heads=3, batch_size=8, steps=8, warmup=0.1, monitor_every=4)  # fmt: skip
MEASURES = {"rankme", "feature_std", "mean_cosine", "patch_rankme", "predictor_r2", "knn_balanced_accuracy",
            "knn_chance"}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("study")
    services = drawn_study(folder / "home", folder / "drawn", 3)
    yield services
    services.database.close()


@pytest.fixture(scope="module")
def pack(study: Services) -> Path:
    return tiles_for(study, TINY, lambda done, total: None)


def test_labels__name_the_tiles_of_labelled_cells(study: Services, pack: Path) -> None:
    labels = labels_for(study, pack)
    sources = json.loads((pack / "manifest.json").read_text())["sources"]

    assert labels is not None
    assert [tile for tile, row in enumerate(sources) if "cell" in row] == labels.tiles.tolist()
    assert len(np.unique(labels.groups)) == 3
    assert labels.codes.max() < len(study.label_set.class_ids)


def test_labels__a_doctors_answer_counts_before_what_came_with_the_data(study: Services, pack: Path) -> None:
    before = labels_for(study, pack)
    cell = leases.take(study.database, "ada", 1, reads=1, lease_seconds=60)[0].cell_id
    sources = json.loads((pack / "manifest.json").read_text())["sources"]
    place = next(row for row, tile in enumerate(before.tiles) if sources[tile].get("cell") == cell)
    answer = next(code for code in range(3) if code != before.codes[place])
    event = LabelEvent(key="k", cell_id=cell, category=study.label_set.class_ids[answer])
    assert record(study.database, "ada", [event], label_set=study.label_set)[0].accepted
    after = labels_for(study, pack)
    changed = before.codes.copy()
    changed[place] = answer

    assert after.codes.tolist() == changed.tolist()


def test_run__every_look_has_every_measure_and_a_picture(study: Services, pack: Path, tmp_path: Path) -> None:
    pretrain(TINY, pack, tmp_path, labels=labels_for(study, pack))
    looks = [row for row in read_metrics(tmp_path) if "rankme" in row]

    assert [row["step"] for row in looks] == [1, 4, 8]
    assert all(set(row) >= MEASURES for row in looks)
    assert 1 <= looks[-1]["rankme"] <= 48
    assert looks[-1]["predictor_r2"] <= 1
    assert read_scalars(tmp_path / "tensorboard")["rankme"] == {
        row["step"]: pytest.approx(row["rankme"]) for row in looks
    }
    pictures = sorted((tmp_path / "tokens").glob("*.png"))
    assert [path.name for path in pictures] == ["step-0000001.png", "step-0000008.png"]
    assert np.asarray(Image.open(pictures[-1])).std() > 10


def test_labels__change_no_weight(study: Services, pack: Path, tmp_path: Path) -> None:
    with_labels = pretrain(TINY, pack, tmp_path / "a", labels=labels_for(study, pack))
    without = pretrain(TINY, pack, tmp_path / "b")

    assert with_labels.fingerprint == without.fingerprint
    assert "knn_balanced_accuracy" not in read_metrics(tmp_path / "b")[-1]


def test_resume__journal_equals_that_of_the_unbroken_run(study: Services, pack: Path, tmp_path: Path) -> None:
    labels = labels_for(study, pack)
    pretrain(TINY, pack, tmp_path / "a", labels=labels)
    pretrain(TINY, pack, tmp_path / "b", labels=labels, should_stop=iter([False] * 4 + [True]).__next__)
    with (tmp_path / "b" / "metrics.jsonl").open("a") as journal:
        journal.write('{"step": 6, "loss": 99.0}\n{"step": 7, "lo')
    pretrain(TINY, pack, tmp_path / "b", labels=labels, resume=True)
    runs = [[{k: v for k, v in row.items() if k != "images_per_second"} for row in read_metrics(tmp_path / name)]
            for name in "ab"]  # fmt: skip

    assert runs[0] == runs[1]


def test_collapse__is_told_in_words(pack: Path, tmp_path: Path) -> None:
    """A picture of one grey for every tile: whatever is learned, all embeddings are alike."""
    grey = tmp_path / "grey"
    grey.mkdir()
    manifest = json.loads((pack / "manifest.json").read_text())
    (grey / "manifest.json").write_text(json.dumps(manifest))
    np.save(grey / "tiles.npy", np.full_like(np.load(pack / "tiles.npy"), 190))
    labels = TileLabels(tiles=np.arange(4), codes=np.array([0, 1, 0, 1]), groups=np.arange(4))
    result = pretrain(TINY, grey, tmp_path / "run", labels=labels)
    last = read_metrics(tmp_path / "run")[-1]

    assert last["warning"].startswith("collapse: embeddings are nearly alike (mean cosine 1.00)")
    assert "predictor_r2" not in last
    assert result.stopped == "finished"
