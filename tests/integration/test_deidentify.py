"""No name leaves ingest: planted words are looked for in every byte of the workspace."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from PIL.ExifTags import Base

from app.intake import take_in
from app.services import Services
from datasets import catalog
from datasets.copies import copies_of
from datasets.deidentify import deidentify
from datasets.errors import UnreadableFile
from datasets.finding import find_cells
from datasets.originals import ORIGINALS_FILE
from datasets.public import plan
from datasets.sandbox import Decoder
from datasets.search_report import FindOptions
from datasets.synthetic import draw_slide
from labeling.export import export_labels
from tests.slide_files import dicom_errors, dicom_slide, plant, write_aperio

WORDS = {"name": "CANARY^JANE", "id": "MRN47110815", "birth": "19310203", "file": "Canary Jane 4711"}
TRACES = [b"CANARY", b"Canary", b"MRN4711", b"19310203"]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return draw_slide(np.random.default_rng(3)).image[:768, :1024]


def _holders(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if any(trace in str(path).encode() for trace in TRACES)
        or (path.is_file() and any(trace in path.read_bytes() for trace in TRACES))
    )


def _write_planted_dicom(folder: Path, picture: np.ndarray) -> None:
    folder.mkdir(parents=True)
    series = pydicom.uid.generate_uid()
    volume = dicom_slide(picture, mpp=0.25, series=series)
    label = dicom_slide(picture[:256, :256], mpp=5.0, flavor="LABEL", series=series)
    for number, header in enumerate((volume, label)):
        plant(header, WORDS)
        header.save_as(folder / f"{WORDS['file']} {number}.dcm", enforce_file_format=True)


def test_canaries__dicom_series_leaves_no_trace(services: Services, tmp_path: Path, picture: np.ndarray) -> None:
    _write_planted_dicom(tmp_path / "in", picture)
    assert len(_holders(tmp_path / "in")) == 2
    intake = take_in(services, plan(tmp_path / "in", "slides"))
    slide = catalog.slides_with_pictures(services.database)[0]
    options = FindOptions(side_um=64, side_px=256)
    found = find_cells(services.database, services.home, services.secret_key, options)
    export_labels(services.database, "csv", services.home / "labels.csv", label_set=services.label_set)
    services.database.close()

    assert (intake.report.slides, intake.report.refused) == (1, [])
    assert found.cells > 5
    assert _holders(services.home) == []
    assert len(copies_of(services.home, slide.id)) == 1
    assert intake.report.removed["label picture"] == 1
    assert {"DICOM PatientName", "DICOM LabelText", "DICOM private attributes"} <= set(intake.report.removed)


def test_canaries__svs_texts_label_and_exif_leave_no_trace(
    services: Services, tmp_path: Path, picture: np.ndarray
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    texts = f"Filename = {WORDS['name']}|User = {WORDS['id']}|Date = {WORDS['birth']}|Barcode = {WORDS['id']}"
    write_aperio(folder / f"{WORDS['file']}.svs", picture, mpp=0.25, texts=texts)
    exif = Image.Exif()
    exif[Base.ImageDescription], exif[Base.Artist] = WORDS["name"], WORDS["id"]
    Image.fromarray(picture).save(folder / f"{WORDS['file']}.jpg", exif=exif, comment=WORDS["name"].encode())
    intake = take_in(services, plan(folder, "slides"), mpp=0.25)
    find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    services.database.close()

    assert intake.report.slides == 2
    # The private list says where the scan is; nothing else in the workspace knows a name.
    assert _holders(services.home) == [ORIGINALS_FILE]
    assert (services.home / ORIGINALS_FILE).read_text().count("Canary") == 1
    assert {"label picture", "macro picture", "file name", "user name", "bar code"} <= set(intake.report.removed)


def test_copy__same_pixels_same_scale_new_identity(services: Services, tmp_path: Path, picture: np.ndarray) -> None:
    _write_planted_dicom(tmp_path / "in", picture)
    take_in(services, plan(tmp_path / "in", "slides"))
    slide = catalog.slides_with_pictures(services.database)[0]
    copies = copies_of(services.home, slide.id)
    header = pydicom.dcmread(copies[0])
    with Decoder() as decoder:
        info = decoder.open_slide(copies)
        pixels = decoder.read_region(copies, 0, 0, 1024, 768)

    assert np.array_equal(pixels, picture)
    assert (info.mpp, slide.mpp) == (0.25, 0.25)
    assert header.PatientIdentityRemoved == "YES"
    assert header.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert header.PatientID.startswith("PA-")
    assert len(header.PatientID) <= 16


def test_deidentify__equal_inputs_equal_pseudonyms_only_under_one_key(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.dcm"
    dicom_slide(picture[:256, :256], mpp=0.25).save_as(path, enforce_file_format=True)

    assert deidentify(path, b"a" * 32).header == deidentify(path, b"a" * 32).header
    assert deidentify(path, b"a" * 32).header != deidentify(path, b"b" * 32).header


def test_deidentify__a_text_that_survives_stops_the_intake(tmp_path: Path, picture: np.ndarray) -> None:
    header = dicom_slide(picture[:256, :256], mpp=0.25)
    header.PatientName = "0.00025"
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)

    with pytest.raises(UnreadableFile, match="text of PatientName also stands"):
        deidentify(tmp_path / "a.dcm", b"a" * 32)


def test_deidentify__cut_off_pixels_are_told(tmp_path: Path, picture: np.ndarray) -> None:
    dicom_slide(picture[:256, :256], mpp=0.25).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    whole = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(UnreadableFile, match="cut off"):
        deidentify(tmp_path / "a.dcm", b"a" * 32)


def test_copy__valid_in_the_eyes_of_an_independent_validator(services: Services, real_data: Path) -> None:
    take_in(services, plan(real_data / "wsi" / "dicom_tiny_highdicom" / "sm_image.dcm", "slides"))
    slide = catalog.slides_with_pictures(services.database)[0]

    assert dicom_errors(copies_of(services.home, slide.id)[0]) == []
