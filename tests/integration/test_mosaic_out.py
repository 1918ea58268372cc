"""The 298 marked cells of a real mosaic: every format has them where the source has them, within a pixel."""

import csv
import json
from pathlib import Path

import highdicom
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import webdataset
from pycocotools.coco import COCO
from scipy.spatial import cKDTree

from app.intake import take_in
from app.services import Services
from datasets.geojson_points import with_points
from datasets.public import plan
from labeling.export import FORMATS, export_labels
from labeling.export.rows import Selection

LABELS = Selection(kinds=("label",))
NAMES = {"Negative for intraepithelial lesion": "NILM"}
"""What the set calls by another name than the study."""


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory, real_data: Path):
    services = Services.open(tmp_path_factory.mktemp("mosaic") / "home")
    folder = real_data / "wsi" / "derived_cytology_mosaic"
    points = folder / "cric_mosaic_cells.geojson"
    take_in(services, with_points(plan(folder / "cric_mosaic.tif"), points))
    source = [(*f["geometry"]["coordinates"], NAMES.get(f["properties"]["label"], f["properties"]["label"]))
              for f in json.loads(points.read_text())["features"]]  # fmt: skip
    assert len(source) == 298
    yield services, source
    services.database.close()


def _table(path: Path) -> list[tuple]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [(float(r["x_px"]), float(r["y_px"]), r["category"]) for r in csv.DictReader(stream)]


def _coco(path: Path) -> list[tuple]:
    coco = COCO(path)
    names = {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())}
    found = coco.loadAnns(coco.getAnnIds())
    side = 256 * found[0]["cytojepa"]["crop_mpp"] / found[0]["cytojepa"]["slide_mpp"]
    for a in found:
        assert a["bbox"][2:] == pytest.approx([side, side], abs=1), "the square that the doctor sees"
    return [(a["bbox"][0] + a["bbox"][2] / 2, a["bbox"][1] + a["bbox"][3] / 2, names[a["category_id"]]) for a in found]


def _geojson(path: Path) -> list[tuple]:
    read = json.loads(path.read_text())["features"]
    places = [shapely.geometry.shape(f["geometry"]) for f in read]
    return [(p.x, p.y, f["properties"]["classification"]["name"]) for p, f in zip(places, read, strict=True)]


def _dicom(folder: Path) -> list[tuple]:
    [path] = folder.glob("*.dcm")
    return [
        (*point, group.label.split(" (")[0])
        for group in highdicom.ann.annread(path).get_annotation_groups()
        for point in np.concatenate(group.get_graphic_data("2D")).tolist()
    ]


def _shards(folder: Path) -> list[tuple]:
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    samples = webdataset.WebDataset(urls, shardshuffle=False).decode()
    return [(s["json"]["x_px"], s["json"]["y_px"], s["json"]["category"]) for s in samples]


READERS = {
    "csv": _table,
    "parquet": lambda path: [(r["x_px"], r["y_px"], r["category"]) for r in pq.read_table(path).to_pylist()],
    "coco": _coco,
    "geojson": _geojson,
    "labelstudio": lambda path: [
        (t["data"]["x_px"], t["data"]["y_px"], t["annotations"][0]["result"][0]["value"]["choices"][0])
        for t in json.loads(path.read_text())
    ],
    "dicom-ann": _dicom,
    "imagefolder": lambda folder: _table(folder / "cells.csv"),
    "webdataset": _shards,
}  # fmt: skip


# The reader leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", FORMATS)
def test_mosaic__each_of_298_cells_leaves_at_its_place(mosaic, tmp_path: Path, name: str) -> None:
    services, source = mosaic
    out = tmp_path / ("out" if FORMATS[name].is_folder else "out.file")
    export_labels(services.database, name, out, label_set=services.label_set, crop_px=services.settings.crop_px,
                  selection=LABELS)  # fmt: skip
    found = READERS[name](out)
    far, nearest = cKDTree([row[:2] for row in found]).query([row[:2] for row in source])

    assert len(found) == 298
    assert far.max() <= 1, "within a pixel"
    assert len(set(nearest.tolist())) == 298, "each its own"
    wrong = [(s, found[n]) for s, n in zip(source, nearest, strict=True) if found[n][2] != s[2]]
    assert wrong == []
