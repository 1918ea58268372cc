"""The whole loop without a browser: files in, vectors, labels, suggestions, table out."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sqlalchemy import func, select, text

from app.intake import adopt_label_set, take_in
from app.refit import refit_study
from app.services import Services
from app.training import embed_all, tiles_for
from datasets import catalog
from datasets.public import plan
from jepa.config import RunConfig
from jepa.encoder import load_encoder
from jepa.train import pretrain
from labeling import leases
from labeling.answers import current_labels
from labeling.export import export_labels
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.records import Candidate, Label
from tests.builders import drawn_study

TINY = RunConfig(image_px=64, patch_px=16, dim=48, depth=2, heads=3, predictor_dim=24, predictor_depth=1,
                 predictor_heads=3, batch_size=8, steps=6, warmup=0.2)  # fmt: skip


@pytest.fixture
def study(tmp_path: Path):
    services = drawn_study(tmp_path / "home", tmp_path / "drawn", 2)
    yield services
    services.database.close()


def _run(services: Services, name: str, **options):
    pack = tiles_for(services, TINY, lambda done, total: None)
    result = pretrain(TINY, pack, services.home / "runs" / name, **options)
    return result, load_file(result.checkpoint / "model.safetensors")


def test_ingest__twice_changes_nothing(study: Services, tmp_path: Path) -> None:
    before = (catalog.counts(study.database), sorted((study.home / "crops").rglob("*.png")))
    again = take_in(study, plan(tmp_path / "drawn"), mpp=0.25)

    assert (again.report.slides, again.report.cells, again.labels, again.report.refused) == (0, 0, 0, [])
    assert (catalog.counts(study.database), sorted((study.home / "crops").rglob("*.png"))) == before


def test_ingest__bad_files_are_listed_and_the_rest_goes_on(study: Services, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    whole = next((tmp_path / "drawn" / "images").iterdir()).read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "good.png").write_bytes(whole + b"\0")
    report = take_in(study, plan(folder)).report

    assert sorted(path.name for path, _ in report.refused) == ["empty.png", "half.png", "text.jpg"]
    assert report.slides == 1


def test_herlev__seven_classes_and_published_scale(services: Services, real_data: Path) -> None:
    found = plan(real_data / "herlev")
    services, _ = adopt_label_set(services, found)
    intake = take_in(services, found)

    assert (intake.report.cells, intake.labels, services.label_set.id) == (917, 917, "herlev")
    assert catalog.counts(services.database).cells_without_scale == 0


def test_pretrain__resumed_equals_unbroken_bit_for_bit(study: Services) -> None:
    unbroken, weights = _run(study, "run-0001")
    _run(study, "run-0002", should_stop=iter([False, False, True]).__next__)
    resumed, again = _run(study, "run-0002", resume=True)

    assert (resumed.steps, resumed.fingerprint) == (6, unbroken.fingerprint)
    assert all(np.array_equal(again[name], value) for name, value in weights.items())


def test_loop__labels_become_suggestions_and_a_table(study: Services, tmp_path: Path) -> None:
    encoder = load_encoder(_run(study, "run-0001")[0].checkpoint)
    cells = catalog.counts(study.database).cells
    assert embed_all(study, encoder, batch_size=16, on_progress=lambda d, t: None) == cells
    assert embed_all(study, encoder, batch_size=16, on_progress=lambda d, t: None) == 0
    assert refit_study(study).probe_id is None

    first = leases.take(study.database, "ada", 10, reads=1, lease_seconds=60)
    others = leases.take(study.database, "ben", 10, reads=1, lease_seconds=60)
    assert {item.reason for item in first} == {"typical of a group of cells"}
    assert not {i.cell_id for i in first} & {i.cell_id for i in others}

    ids = study.label_set.class_ids
    events = [LabelEvent(key=f"k{n}", cell_id=i.cell_id, category=ids[n % 2]) for n, i in enumerate(first)]
    assert all(r.accepted for r in record(study.database, "ada", events, label_set=study.label_set))
    assert all(r.accepted for r in record(study.database, "ada", events, label_set=study.label_set))
    assert record(study.database, "ada", [UndoEvent(key="u1", label_key="k0")], label_set=study.label_set)[0].accepted
    report = refit_study(study)

    assert (report.labels, report.classes) == (9, 2)
    with study.database.read() as session:
        suggested = session.scalar(select(func.count()).select_from(Candidate).where(Candidate.suggestion.is_not(None)))
        assert session.scalar(select(func.count()).select_from(Label).where(Label.annotator == "ada")) == 10
        assert len(current_labels(session)) == 9
    assert suggested == cells - 9
    out = export_labels(study.database, "csv", tmp_path / "a.csv", label_set=study.label_set)
    again = export_labels(study.database, "csv", tmp_path / "b.csv", label_set=study.label_set)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))

    assert out.sha256 == again.sha256
    assert sum(r["annotator"] == "ada" and r["is_current"] == "True" for r in rows) == 9


@pytest.mark.parametrize("statement", ["UPDATE labels SET category = 'HSIL'", "DELETE FROM labels"])
def test_labels__cannot_be_changed_or_deleted(study: Services, statement: str) -> None:
    def change() -> None:
        with study.database.write() as session:
            session.execute(text(statement))

    with pytest.raises(Exception, match="only ever added"):
        change()
