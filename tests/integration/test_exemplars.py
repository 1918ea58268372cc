"""Exemplars teach the probe and stand beside the criteria; they are nobody's labels and in no figure."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.cli import cytojepa
from app.inspection import inspect_study
from app.services import Services
from datasets import catalog
from labeling import adjudication, blindtest, exemplars, leases, probe_files
from labeling.answers import current_labels
from labeling.errors import LabelRefused
from labeling.evidence import gather
from labeling.exemplars import add_atlas, mark
from labeling.labels import LabelEvent, record
from labeling.records import Candidate, Exemplar
from labeling.suggestions import current, rebuild, refit
from labeling.verification import check_chain
from tests.builders import VECTOR_CELLS, vector_study, vector_truth


@pytest.fixture
def study(services: Services) -> Services:
    return vector_study(services)


def _refit(study: Services, **options):
    groups = catalog.slide_of_cells(study.database)
    return refit(study.database, study.store(), study.probes_folder, study.label_set, groups=groups, reads=1, **options)


def _mark(study: Services, cell: int, category: str | None, key: str = "") -> None:
    mark(study.database, "ada", f"CE{cell:05d}", category, key=key or f"x{cell}", label_set=study.label_set)


def _answer(study: Services, cells: range) -> None:
    events = [LabelEvent(key=f"k{n}", cell_id=f"CE{n:05d}", category=vector_truth(n)) for n in cells]
    assert all(r.accepted for r in record(study.database, "ada", events, label_set=study.label_set))


def test_mark__one_exemplar_of_each_class_gives_suggestions_without_a_label(study: Services) -> None:
    for cell in (300, 306, 307):
        _mark(study, cell, vector_truth(cell))
    report = _refit(study)
    table = current(study.database, study.probes_folder, study.store())
    right = np.mean([table.of(f"CE{n:05d}")[0] == vector_truth(n) for n in range(VECTOR_CELLS)])
    with study.database.read() as session:
        queue = set(session.scalars(select(Candidate.cell_id)))

    assert (report.labels, report.balanced_accuracy) == (0, None)
    assert right > 0.5
    assert len(queue) > 200


def test_mark__is_no_label_and_in_no_figure(study: Services) -> None:
    _answer(study, range(100))
    before = _refit(study)
    figures = json.loads((study.probes_folder / before.probe_id / "probe.json").read_text())["metrics"]
    for cell in (300, 306, 307, 320):
        _mark(study, cell, "SCC" if cell == 320 else vector_truth(cell))
    after = _refit(study)
    described, saw = probe_files.read(study.probes_folder, after.probe_id)
    with study.database.read() as session:
        labels = {label.cell_id for label in current_labels(session)}

    assert after.probe_id != before.probe_id
    assert (after.labels, described["num_labels"], len(labels)) == (100, 100, 100)
    assert described["metrics"]["labels_per_class"] == {**figures["labels_per_class"], "SCC": 0.0}
    assert described["metrics"]["held_out_labels"] == figures["held_out_labels"]
    assert described["metrics"]["exemplars"] == sum(saw["is_exemplar"]) == 4
    assert np.array_equal(
        rebuild(study.store(), study.probes_folder, after.probe_id).coef_,
        np.load(study.probes_folder / after.probe_id / "weights.npy")[:, :-1],
    )


def test_mark__weight_is_a_setting_and_a_withdrawn_one_teaches_nothing(study: Services) -> None:
    _answer(study, range(60))
    plain = _refit(study).probe_id
    _mark(study, 300, "HSIL")
    marked = [_refit(study, exemplar_weight=weight).probe_id for weight in (0.0, 1.0, 5.0)]
    _mark(study, 300, None, key="back")

    assert marked[0] == plain
    assert len(set(marked)) == 3
    assert _refit(study).probe_id == plain


def test_mark__twice_is_once_and_what_does_not_fit_is_told(study: Services) -> None:
    _mark(study, 300, "HSIL")
    _mark(study, 300, "HSIL")
    with study.database.read() as session:
        assert len(session.scalars(select(Exemplar)).all()) == 1
    with pytest.raises(LabelRefused, match="another content"):
        _mark(study, 301, "HSIL", key="x300")
    with pytest.raises(LabelRefused, match="cannot-tell: no class"):
        _mark(study, 301, "cannot-tell")
    with pytest.raises(LabelRefused, match="not in the catalogue"):
        mark(study.database, "ada", "CE-none", "HSIL", key="n", label_set=study.label_set)
    chosen = blindtest.choose(study.database, percent=10)
    with pytest.raises(LabelRefused, match="blind test set"):
        _mark(study, int(chosen[0][2:]) * 20, "HSIL")
    assert "SL15" not in chosen
    assert check_chain(study.database).problems == ()


def test_references__exemplars_come_first_and_never_what_will_be_asked(study: Services) -> None:
    _mark(study, 300, "HSIL")
    add_atlas(study.database, "book", [("CE00307", "HSIL")], label_set=study.label_set)
    found = adjudication.reference_cells(study.database, "ada", "HSIL", reads=1, limit=4)

    assert found == [("CE00307", "exemplar")]
    _answer(study, range(300, 301))
    assert set(adjudication.reference_cells(study.database, "ada", "NILM", reads=1, limit=4)) == {
        ("CE00300", "your label")
    }
    assert set(adjudication.reference_cells(study.database, "ben", "HSIL", reads=1, limit=4)) == {
        ("CE00300", "exemplar"), ("CE00307", "exemplar"),
    }  # fmt: skip


def test_atlas__no_doctor_is_asked_about_its_cells(study: Services) -> None:
    atlas = [(f"CE{n:05d}", vector_truth(n)) for n in range(0, 400, 4)]
    report = add_atlas(study.database, "book", atlas, label_set=study.label_set)
    again = add_atlas(study.database, "book", atlas, label_set=study.label_set)
    _refit(study)
    with study.database.read() as session:
        queue = set(session.scalars(select(Candidate.cell_id)))
        finished = exemplars.atlas_cells(session)
    items = leases.take(study.database, "ada", 400, reads=1, lease_seconds=60)

    assert (report.new, again.new, again.known, report.refused) == (100, 0, 100, [])
    assert finished == {cell for cell, _ in atlas}
    assert not queue & finished
    assert len(items) == 300
    assert gather(study.database, study.label_set, reads=1).shares == {}


def _picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((90, 90, 3), 235, np.uint8)
    cv2.circle(picture, (45, 45), 10 + shade % 20, (90 + shade, 60, 120), -1)
    cv2.imwrite(str(path), picture)


def test_exemplars__class_named_folders_and_tables(services: Services, tmp_path: Path) -> None:
    for number in range(6):
        _picture(tmp_path / "book" / ("NILM" if number < 3 else "HSIL") / f"b{number}.png", 10 * number)
    arguments = ["exemplars", str(tmp_path / "book"), "--mpp", "0.25", "--name", "book", "--json"]
    first, second = (
        json.loads(CliRunner().invoke(cytojepa, [*arguments, "--home", str(services.home)]).stdout) for _ in range(2)
    )
    with services.database.read() as session:
        found = exemplars.standing(session)
        labels = current_labels(session, include_imported=True)

    assert (first["new"], second["new"], second["known"], first["refused"]) == (6, 0, 6, [])
    assert sorted(row.category for row in found.values()) == ["HSIL"] * 3 + ["NILM"] * 3
    assert {row.source for row in found.values()} == {"atlas book"}
    assert labels == []
    table = tmp_path / "table.csv"
    cell = next(iter(found))
    table.write_text(f"cell,category\n{cell},LSIL\nCE-none,LSIL\n")
    told = json.loads(
        CliRunner().invoke(cytojepa, ["exemplars", str(table), "--home", str(services.home), "--json"]).stdout
    )
    assert (told["new"], len(told["refused"])) == (1, 1)
    with services.database.read() as session:
        assert exemplars.standing(session)[cell].category == "LSIL"


def test_verify__a_probe_whose_record_does_not_give_its_weights_is_told(study: Services) -> None:
    _answer(study, range(100))
    probe_id = _refit(study).probe_id
    sound = [p for p in inspect_study(study).problems if "probe" in p]
    path = study.probes_folder / probe_id / "labels.json"
    saw = json.loads(path.read_text())
    saw["classes"][0] = "HSIL" if saw["classes"][0] != "HSIL" else "NILM"
    path.write_text(json.dumps(saw))
    altered = [p for p in inspect_study(study).problems if "probe" in p]
    path.unlink()

    assert sound == []
    assert [f"probe {probe_id}: its labels and settings do not give" in p for p in altered] == [True]
    assert "cannot be made again" in next(p for p in inspect_study(study).problems if "probe" in p)
