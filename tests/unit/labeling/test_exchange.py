"""Labels leave in every format, are read by programs of others, and come back with nothing lost."""

import csv
import hashlib
import json
import re

import pyarrow.parquet as pq
import pytest
from pycocotools.coco import COCO
from shapely.geometry import shape

from datasets import catalog
from labeling.adjudication import VerdictEvent, decide
from labeling.errors import LabelingError
from labeling.export import FORMATS, export_labels
from labeling.export.rows import COLUMNS, Selection, split_of
from labeling.imports import import_file
from labeling.imports.store import ImportedLabel, store_labels
from labeling.labels import LabelEvent, record
from labeling.records import Label, Probe
from labeling.verification import check_chain

ENDINGS = {"csv": "csv", "parquet": "parquet", "coco": "json", "geojson": "geojson", "labelstudio": "json"}
NOT_KEPT = {"label_id"}
"""Numbers of this database's own."""


def _export(services, name, out, **options):
    return export_labels(services.database, name, out, label_set=services.label_set, **options)


def _rows(services, out, **options) -> list[dict]:
    _export(services, "parquet", out, **options)
    return pq.read_table(out).to_pylist()


@pytest.mark.parametrize("name", FORMATS)
def test_export__same_database_same_bytes(rich, tmp_path, name) -> None:
    if name in ("imagefolder", "webdataset"):
        for cell_id in catalog.cell_ids(rich.database):
            path = catalog.crop_path(rich.home, cell_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cell_id.encode())
    first, second = (_export(rich, name, tmp_path / f"{n}.{ENDINGS.get(name, 'd')}") for n in "ab")

    assert (first.rows, first.sha256) == (second.rows, second.sha256)
    assert first.rows > 0
    assert all(path.exists() for path in first.files)
    if name in ENDINGS:
        assert first.sha256 == hashlib.sha256(first.files[0].read_bytes()).hexdigest()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_round_trip__tables_lose_nothing(rich, empty_copy, tmp_path, name) -> None:
    _export(rich, name, tmp_path / f"all.{name}")
    report = import_file(empty_copy.database, tmp_path / f"all.{name}", label_set=rich.label_set)
    before, after = _rows(rich, tmp_path / "before.parquet"), _rows(empty_copy, tmp_path / "after.parquet")

    assert (report.labels, report.known, report.refused) == (24, 0, [])
    assert [{k: v for k, v in row.items() if k not in NOT_KEPT} for row in before] == [
        {k: v for k, v in row.items() if k not in NOT_KEPT} for row in after
    ]
    again = import_file(empty_copy.database, tmp_path / f"all.{name}", label_set=rich.label_set)
    assert (again.labels, again.known, again.refused) == (0, 24, [])
    assert check_chain(empty_copy.database).problems == ()


@pytest.mark.parametrize("name", ["coco", "geojson", "labelstudio"])
def test_round_trip__objects_keep_every_current_label(rich, empty_copy, tmp_path, name) -> None:
    out = tmp_path / f"all.{ENDINGS[name]}"
    _export(rich, name, out)
    report = import_file(empty_copy.database, out, label_set=rich.label_set)
    only = Selection(is_current_only=True, kinds=("label",))
    key = lambda row: row["label_key"]  # noqa: E731
    before = sorted(_rows(rich, tmp_path / "before.parquet", selection=only), key=key)
    after = sorted(_rows(empty_copy, tmp_path / "after.parquet", selection=only), key=key)

    assert (report.labels, report.refused, len(before)) == (22, [], 22)
    assert [{k: v for k, v in row.items() if k not in NOT_KEPT} for row in before] == [
        {k: v for k, v in row.items() if k not in NOT_KEPT} for row in after
    ]


def test_coco__pycocotools_reads_boxes_in_slide_pixels(rich, cells, tmp_path) -> None:
    _export(rich, "coco", tmp_path / "coco.json")
    coco = COCO(tmp_path / "coco.json")
    names = {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())}
    found = next(a for a in coco.loadAnns(coco.getAnnIds()) if a["cytojepa"]["label_key"] == "ada-1")
    image = coco.loadImgs(found["image_id"])[0]

    assert names[found["category_id"]] == "HSIL"
    assert (image["file_name"], image["width"], image["height"]) == ("slides/SL-BBBBBBBBBBBBB.png", 400, 300)
    assert found["bbox"] == [45.25 - 128, 45.5 - 128, 256, 256]
    single = next(a for a in coco.loadAnns(coco.getAnnIds()) if a["cytojepa"]["cell"] == cells[13])
    assert coco.loadImgs(single["image_id"])[0]["file_name"] == f"crops/13/{cells[13]}.png"
    assert single["bbox"] == [0, 0, 90, 80]


def test_geojson__points_classes_and_colours(rich, cells, tmp_path) -> None:
    _export(rich, "geojson", tmp_path / "all.geojson")
    features = json.loads((tmp_path / "all.geojson").read_text())["features"]
    found = next(f for f in features if f["properties"]["metadata"]["label_key"] == "ada-1")
    point = shape(found["geometry"])

    assert (point.geom_type, point.x, point.y) == ("Point", 45.25, 45.5)
    assert found["properties"]["classification"] == {"name": "HSIL", "color": [201, 105, 43]}
    assert found["properties"]["objectType"] == "annotation"
    assert all(isinstance(value, str) for value in found["properties"]["metadata"].values())
    assert len({f["id"] for f in features}) == len(features) == 22


def test_geojson__one_file_for_each_slide(rich, empty_copy, tmp_path) -> None:
    report = _export(rich, "geojson", tmp_path / "slides")
    names = [path.name for path in report.files]

    assert names == ["SL-AAAAAAAAAAAAA.geojson", "SL-BBBBBBBBBBBBB.geojson", "SL-CCCCCCCCCCCCC.geojson"]
    assert sum(len(json.loads(path.read_text())["features"]) for path in report.files) == report.rows == 22
    assert import_file(empty_copy.database, tmp_path / "slides", label_set=rich.label_set).labels == 22


def test_labelstudio__tasks_hold_annotations_and_the_suggestion(rich, cells, tmp_path) -> None:
    _export(rich, "labelstudio", tmp_path / "tasks.json")
    tasks = {task["data"]["cell"]: task for task in json.loads((tmp_path / "tasks.json").read_text())}

    assert [a["completed_by"]["email"] for a in tasks[cells[1]]["annotations"]] == ["ada", "ben"]
    assert tasks[cells[1]]["annotations"][0]["result"][0]["value"] == {"choices": ["HSIL"]}
    guess = tasks[cells[12]]["predictions"][0]
    assert (guess["result"][0]["value"]["choices"], guess["model_version"]) == (["LSIL"], "p" * 32)


def test_csv__no_cell_is_a_formula_whatever_the_spreadsheet_takes_for_the_delimiter(
    rich, empty_copy, cells, tmp_path
) -> None:
    """In German, Excel splits at semicolons; quotes inside a field mean nothing then, and each line end is one."""
    odd = ["a;=1+1", "a\n=1", "a\t@x", "\uff1d1", "\n", "a;'=1", "a;''+1", "it's; 'fine'", "a\r\n-b", "\t'\t=1"]
    labels = [ImportedLabel(cell_id=cells[0], category="SCC", annotator=f"d{n}", history={"comment": text})
              for n, text in enumerate(odd)]  # fmt: skip
    assert store_labels(rich.database, labels).new == len(odd)
    _export(rich, "csv", tmp_path / "all.csv")
    text = (tmp_path / "all.csv").read_text()
    import_file(empty_copy.database, tmp_path / "all.csv", label_set=rich.label_set)
    back = {row["annotator"]: row["comment"] for row in _rows(empty_copy, tmp_path / "back.parquet")}

    for delimiter in ",;\t":
        # Without quotes is how a field in the middle of which one stands is split.
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE) if delimiter != "," else (csv.QUOTE_MINIMAL,):
            rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, quoting=quoting))
            assert len(rows) > 24
            assert not [value for row in rows for value in row if re.match("[=+@\t\r\uff1d-]", value)]
    assert [back[f"d{n}"] for n in range(len(odd))] == odd


def test_references__majority_and_what_came_with_the_data(rich, cells, tmp_path) -> None:
    rows = _rows(rich, tmp_path / "a.parquet", selection=Selection(kinds=("reference",)))
    by_cell = {row["cell"]: (row["category"], row["reason"]) for row in rows}

    assert by_cell[cells[1]] == ("HSIL", "2 of 2 readers")
    assert by_cell[cells[12]] == ("HSIL", "1 of 1 readers")
    assert by_cell[cells[13]] == ("SCC", "came with the data")
    assert cells[3] not in by_cell  # both doctors took theirs back
    record(rich.database, "eva", [LabelEvent(key="e", cell_id=cells[12], category="LSIL")], label_set=rich.label_set)
    rows = _rows(rich, tmp_path / "b.parquet", selection=Selection(kinds=("reference",)))
    assert cells[12] not in {row["cell"] for row in rows}  # one against one: open
    verdict = VerdictEvent(key="v", cell_id=cells[12], category="ASC-H", comment="large nucleus")
    assert decide(rich.database, "zoe", [verdict], label_set=rich.label_set)[0].accepted
    rows = _rows(rich, tmp_path / "c.parquet", selection=Selection(kinds=("reference",)))
    found = next(row for row in rows if row["cell"] == cells[12])
    assert (found["category"], found["reason"], found["comment"]) == ("ASC-H", "verdict of zoe", "large nucleus")
    assert check_chain(rich.database).problems == ()


def test_selection__slide_annotator_category(rich, tmp_path) -> None:
    def keys(**options) -> set[str]:
        return {r["label_key"] for r in _rows(rich, tmp_path / "s.parquet", selection=Selection(**options))}

    assert keys(annotators=("ada",)) == {f"ada-{n}" for n in range(10)}
    assert keys(annotators=("ada",), is_current_only=True) == {f"ada-{n}" for n in range(10) if n != 3}
    assert keys(annotators=("ada",), categories=("HSIL",)) == {"ada-1", "ada-4", "ada-7"}
    assert keys(annotators=("ada",), slides=("SL-AAAAAAAAAAAAA",)) == {f"ada-{n}" for n in range(0, 10, 2)}


def test_split__never_divides_a_slide_and_is_about_70_15_15(rich, tmp_path) -> None:
    by_slide: dict[str, set[str]] = {}
    for row in _rows(rich, tmp_path / "a.parquet"):
        by_slide.setdefault(row["slide"], set()).add(row["split"])
    many = [split_of(f"SL-{n:013d}") for n in range(3000)]

    assert all(len(splits) == 1 for splits in by_slide.values())
    assert [round(many.count(s) / 30) for s in ("train", "validation", "test")] == pytest.approx([70, 15, 15], abs=3)


def test_export__interrupted_leaves_the_old_file(rich, tmp_path, monkeypatch) -> None:
    (tmp_path / "all.csv").write_text("old")

    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _export(rich, "csv", tmp_path / "all.csv", on_progress=stop)
    assert (tmp_path / "all.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if "all" in p.name] == ["all.csv"]


def test_export__a_folder_that_is_not_empty_is_left_alone(rich, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("precious")

    with pytest.raises(LabelingError, match="not an empty folder"):
        _export(rich, "imagefolder", tmp_path / "mine")


def test_columns__every_column_of_a_label_leaves() -> None:
    told = set(COLUMNS) | {"id", "key", "cell_id", "probe_id"}

    assert {column.key for column in Label.__table__.columns} <= told
    assert {"encoder_fingerprint"} <= {column.key for column in Probe.__table__.columns}
