"""Words of a patient, planted in a DICOM slide's header, names and folders, are in no byte of any export or report."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from app.intake import take_in
from app.services import Services
from app.study_report import write_report
from datasets.geojson_points import with_points
from datasets.public import plan
from datasets.synthetic import draw_slide
from labeling.export import FORMATS, export_labels
from labeling.export.rows import Selection
from tests.slide_files import dicom_slide, plant

WORDS = {"name": "CANARY^JANE", "id": "MRN47110815", "birth": "19310203"}
TRACES = [b"CANARY", b"Canary", b"MRN4711", b"19310203"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("planted")
    slide = folder / "Canary Jane 4711"
    slide.mkdir()
    header = dicom_slide(
        draw_slide(np.random.default_rng(3)).image[:768, :1024], mpp=0.25, series=pydicom.uid.generate_uid()
    )
    plant(header, WORDS)
    header.save_as(slide / "Canary Jane.dcm", enforce_file_format=True)
    points = [{"type": "Feature", "geometry": {"type": "Point", "coordinates": [200 + 60 * n, 300]},
               "properties": {"classification": {"name": "HSIL"}, "name": "Canary"}} for n in range(6)]  # fmt: skip
    (folder / "points.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": points}))
    services = Services.open(folder / "home")
    intake = take_in(services, with_points(plan(slide, "slides"), folder / "points.geojson"))
    assert (intake.labels, intake.report.refused) == (6, [])
    yield services
    services.database.close()


def _holders(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [p.name for p in files if any(t in p.read_bytes() or t in p.name.encode() for t in TRACES)]


@pytest.mark.parametrize("name", [*FORMATS, "report"])
def test_canaries__in_no_format(study: Services, tmp_path: Path, name: str) -> None:
    if name == "report":
        write_report(study, tmp_path / "study.html")
    else:
        report = export_labels(study.database, name, tmp_path / "out", label_set=study.label_set,
                               selection=Selection(is_current_only=True))  # fmt: skip
        assert report.rows >= 6

    assert _holders(tmp_path) == []
