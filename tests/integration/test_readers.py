"""What leaves is read by programs of others: tables, GeoJSON, Label Studio's converter, COCO, DICOM on real slides."""

import csv
import json
from pathlib import Path

import duckdb
import geojson
import highdicom
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from label_studio_sdk.converter import Converter
from pycocotools.coco import COCO
from shapely.geometry import shape

from app.intake import take_in
from app.services import Services
from datasets import catalog
from datasets.copies import copies_of
from datasets.geojson_points import with_points
from datasets.public import plan
from labeling.export import export_labels
from labeling.export.rows import Selection
from labeling.imports import import_file
from tests.builders import study_of_vectors
from tests.slide_files import dicom_errors

INTERFACE = (
    '<View><Image name="image" value="$image"/><Choices name="category" toName="image">'
    '<Choice value="NILM"/><Choice value="LSIL"/><Choice value="HSIL"/></Choices></View>'
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    services = study_of_vectors(tmp_path_factory.mktemp("readers") / "home", slides=6, cells_per_slide=8)
    yield services
    services.database.close()


def _export(services: Services, name: str, out: Path, **options: object) -> Path:
    export_labels(services.database, name, out, label_set=services.label_set, **options)
    return out


def test_parquet_and_csv__duckdb_counts_what_pyarrow_counts(study: Services, tmp_path: Path) -> None:
    parquet = _export(study, "parquet", tmp_path / "all.parquet")
    table = _export(study, "csv", tmp_path / "all.csv")
    query = "select annotator, category, count(*) from '{}' where kind = 'label' group by all order by all"
    found = duckdb.sql(query.format(parquet)).fetchall()
    rows = pq.read_table(parquet).to_pylist()
    labels = [(row["annotator"], row["category"]) for row in rows if row["kind"] == "label"]

    assert found == sorted((*pair, labels.count(pair)) for pair in set(labels))
    assert duckdb.sql(query.format(table)).fetchall() == found
    assert duckdb.sql(f"select count(*) from '{table}'").fetchall() == [(len(rows),)]
    leaks = duckdb.sql(f"select slide from '{parquet}' group by slide having count(distinct split) > 1").fetchall()
    assert leaks == []


def test_geojson__is_valid_and_its_points_are_the_cells(study: Services, tmp_path: Path) -> None:
    found = geojson.loads(_export(study, "geojson", tmp_path / "all.geojson").read_text())
    places = {c.id: (c.x, c.y) for c in catalog.cells(study.database)}
    points = {f.properties["metadata"]["cell"]: shape(f.geometry) for f in found.features}

    assert found.is_valid, found.errors()
    assert {cell: (p.x, p.y) for cell, p in points.items()} == places


def test_labelstudio__its_converter_writes_the_same_answers(study: Services, tmp_path: Path) -> None:
    out = _export(study, "labelstudio", tmp_path / "tasks.json", selection=Selection(annotators=("ada",)))
    converter = Converter(INTERFACE, project_dir=str(tmp_path), upload_dir=str(tmp_path))
    converter.convert_to_json_min(str(out), str(tmp_path / "min"), is_dir=False)
    converter.convert_to_csv(str(out), str(tmp_path / "csv"), is_dir=False, sep=",", header=True)
    by_json = {item["cell"]: item["category"] for item in json.loads((tmp_path / "min" / "result.json").read_text())}
    with next((tmp_path / "csv").glob("*.csv")).open(newline="") as stream:
        by_csv = {row["cell"]: row["category"] for row in csv.DictReader(stream)}
    rows = pq.read_table(_export(study, "parquet", tmp_path / "a.parquet", selection=Selection(
        annotators=("ada",), kinds=("label",), is_current_only=True))).to_pylist()  # fmt: skip

    assert by_json == by_csv == {row["cell"]: row["category"] for row in rows}
    assert len(by_json) == 48


@pytest.fixture(scope="module", params=["cric_mosaic.tif", "dicom"])
def mosaic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, real_data: Path):
    """The CRIC mosaic with its 298 points, as a pyramidal TIFF and as a DICOM slide."""
    folder = real_data / "wsi" / "derived_cytology_mosaic"
    services = Services.open(tmp_path_factory.mktemp("mosaic") / "home")
    source = folder / "cric_mosaic_cells.geojson"
    take_in(services, with_points(plan(folder / request.param, "slides"), source), mpp=0.247)
    features = json.loads(source.read_text())["features"]
    points = np.array([f["geometry"]["coordinates"] for f in features])
    yield services, points[np.lexsort(points.T)], request.param == "dicom"
    services.database.close()


def _sorted(points: list) -> np.ndarray:
    found = np.array(points)
    return found[np.lexsort(found.T)]


def test_mosaic__points_and_boxes_lie_where_the_source_says(mosaic, tmp_path: Path) -> None:
    services, points, _ = mosaic
    coco = COCO(_export(services, "coco", tmp_path / "coco.json", crop_px=services.settings.crop_px))
    boxes = np.array([a["bbox"] for a in coco.loadAnns(coco.getAnnIds())])
    features = json.loads(_export(services, "geojson", tmp_path / "all.geojson").read_text())["features"]
    ann = _export(services, "dicom-ann", tmp_path / "ann")
    found = highdicom.ann.annread(next(ann.iterdir()))
    in_dicom = np.concatenate([np.concatenate(g.get_graphic_data("2D")) for g in found.get_annotation_groups()])
    middles = boxes[:, :2] + boxes[:, 2:] / 2

    assert len(points) == 298
    for places in (middles, [f["geometry"]["coordinates"] for f in features], in_dicom):
        assert np.abs(_sorted(list(places)) - points).max() < 1
    slide = catalog.slides_with_pictures(services.database)[0]
    assert boxes[:, 2] == pytest.approx(services.settings.crop_um / slide.mpp, abs=1), "the square that is shown"
    assert dicom_errors(next(ann.iterdir())) == []


def test_mosaic__annotations_refer_to_the_deidentified_slide_and_come_back(mosaic, tmp_path: Path) -> None:
    services, _, is_dicom = mosaic
    slide = catalog.slides_with_pictures(services.database)[0]
    ann = _export(services, "dicom-ann", tmp_path / "ann")
    object_ = pydicom.dcmread(next(ann.iterdir()))
    report = import_file(services.database, ann, label_set=services.label_set, annotator="eva")

    assert (report.labels, report.refused) == (298, [])
    if is_dicom:
        copies = [pydicom.dcmread(path, stop_before_pixels=True) for path in copies_of(services.home, slide.id)]
        level_0 = next(c for c in copies if c.TotalPixelMatrixColumns == slide.width_px)
        assert object_.ReferencedImageSequence[0].ReferencedSOPInstanceUID == level_0.SOPInstanceUID
        assert object_.StudyInstanceUID == level_0.StudyInstanceUID
        assert object_.PatientID == level_0.PatientID


def test_deidentified_slides__the_validator_finds_no_error_that_the_original_has_not(mosaic, real_data: Path) -> None:
    services, _, is_dicom = mosaic
    if not is_dicom:
        pytest.skip("a TIFF is no DICOM file")
    slide = catalog.slides_with_pictures(services.database)[0]
    originals = sorted((real_data / "wsi" / "derived_cytology_mosaic" / "dicom").rglob("*.dcm"))
    before = {line for path in originals for line in dicom_errors(path)}
    after = {line for path in copies_of(services.home, slide.id) for line in dicom_errors(path)}

    assert after <= before
    assert after == set()
