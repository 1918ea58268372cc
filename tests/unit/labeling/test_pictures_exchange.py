"""Crops leave as ImageFolder and WebDataset, are read by webdataset, and come back with nothing lost."""

import json
import shutil
import tarfile

import numpy as np
import pytest
import webdataset
from PIL import Image

from datasets import catalog
from datasets.crops import encode_png
from datasets.files import sha256_of_file
from datasets.identity import study_code
from labeling.errors import LabelingError
from labeling.export import export_labels
from labeling.export.rows import Selection, split_of
from labeling.imports import import_file
from labeling.records import Label

LABELS = Selection(kinds=("label",))


@pytest.fixture
def pictured(rich):
    """The rich study with a crop for each cell, each of its own colour."""
    for number, cell_id in enumerate(catalog.cell_ids(rich.database)):
        path = catalog.crop_path(rich.home, cell_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((32, 32, 3), 10 * number, np.uint8)))
    return rich


def _export(services, name, out, **options):
    return export_labels(services.database, name, out, label_set=services.label_set, **options)


def _labels(services) -> dict:
    """Return what a label says and its past, by key."""
    left_out = {"id", "key", "step"}
    columns = [column.key for column in Label.__table__.columns if column.key not in left_out]
    with services.database.read() as session:
        return {x.key: tuple(getattr(x, name) for name in columns) for x in session.query(Label)}


# The reader leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_shards__webdataset_reads_pictures_classes_and_rows(pictured, tmp_path) -> None:
    report = _export(pictured, "webdataset", tmp_path / "shards")
    index = json.loads((tmp_path / "shards" / "dataset.json").read_text())
    seen, slides = {}, {}
    for split, told in index["splits"].items():
        urls = [str(tmp_path / "shards" / name) for name in told["shards"]]
        samples = (
            list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("rgb8")) if urls else []
        )
        assert len(samples) == told["samples"]
        for sample in samples:
            row = sample["json"]
            seen[sample["__key__"]] = (index["categories"][sample["cls"]], row["category"], sample["png"])
            slides.setdefault(row["slide"], set()).add(split)
            assert row["split"] == split

    assert len(seen) == report.rows == 12
    assert all(by_number == by_name for by_number, by_name, _ in seen.values())
    assert all(len(splits) == 1 for splits in slides.values())
    assert seen["CE-0000000000001"][2].shape == (32, 32, 3)
    assert seen["CE-0000000000001"][2][0, 0, 0] == 10


@pytest.mark.parametrize("name", ["imagefolder", "webdataset"])
def test_round_trip__pictures_keep_every_current_label(pictured, empty_copy, tmp_path, name) -> None:
    _export(pictured, name, tmp_path / "out", selection=LABELS)
    report = import_file(empty_copy.database, tmp_path / "out", label_set=pictured.label_set)
    before, after = _labels(pictured), _labels(empty_copy)

    assert (report.labels, report.refused) == (22, [])
    assert after == {key: value for key, value in before.items() if key in after}
    assert set(before) - set(after) == {"ada-3", "ben-3"}, "those that were taken back"


@pytest.mark.parametrize("name", ["imagefolder", "webdataset"])
def test_references__become_labels_of_a_named_annotator_only(pictured, empty_copy, tmp_path, name) -> None:
    _export(pictured, name, tmp_path / "out")
    silent = import_file(empty_copy.database, tmp_path / "out", label_set=pictured.label_set)
    named = import_file(empty_copy.database, tmp_path / "out", label_set=pictured.label_set, annotator="eva")

    assert (silent.labels, silent.derived) == (0, 12)
    assert (named.labels, named.derived, named.refused) == (12, 0, [])


def test_folder__a_moved_picture_is_an_answer_of_who_moved_it(pictured, tmp_path) -> None:
    out = tmp_path / "out"
    _export(pictured, "imagefolder", out, selection=Selection(annotators=("ada",)))
    source = next(out.rglob("CE-0000000000001.png"))
    (source.parent.parent / "ASC-H").mkdir(exist_ok=True)
    shutil.move(source, source.parent.parent / "ASC-H" / source.name)
    next(out.rglob("CE-0000000000002.png")).unlink()
    unnamed = import_file(pictured.database, out, label_set=pictured.label_set)
    named = import_file(pictured.database, out, label_set=pictured.label_set, annotator="eva")

    assert (unnamed.labels, len(unnamed.refused)) == (0, 1)
    assert "say by whom" in unnamed.refused[0][1]
    assert named.labels == 8
    mine = {value[0]: value[2] for value in _labels(pictured).values() if value[1] == "eva"}
    assert mine["CE-0000000000001"] == "ASC-H"
    assert "CE-0000000000002" not in mine


def test_class_folders__of_a_public_set_are_known_by_their_bytes(services, cells, tmp_path) -> None:
    folder = tmp_path / "set" / "LSIL" / "CROPPED"
    folder.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(folder / f"{number}.bmp")
    known = study_code(services.secret_key, "CE", sha256_of_file(folder / "0.bmp"))
    with services.database.read() as session:
        cell = session.get(catalog.Cell, cells[13])
    values = {column.key: getattr(cell, column.key) for column in catalog.Cell.__table__.columns}
    catalog.add(services.database, [], [catalog.Cell(**{**values, "id": known})])
    report = import_file(
        services.database,
        tmp_path / "set",
        label_set=services.label_set,
        annotator="eva",
        secret_key=services.secret_key,
    )

    assert report.labels == 1
    assert [where for where, _ in report.refused] == ["LSIL/CROPPED/1.bmp"]
    assert [value[:3] for value in _labels(services).values()] == [(known, "eva", "LSIL")]


def test_split__follows_the_patient(pictured, tmp_path) -> None:
    """Slides of one patient stand on one side, whichever they would stand on alone."""
    slides = sorted(catalog.slide_ids(pictured.database))
    table = tmp_path / "patients.csv"
    patient = next(f"p{n}" for n in range(100) if split_of(f"patient p{n}") == "test")
    table.write_text("slide,patient\n" + "".join(f"{slide},{patient}\n" for slide in slides[:2]))
    _export(pictured, "webdataset", tmp_path / "out", selection=LABELS, patients=table)
    told = json.loads((tmp_path / "out" / "dataset.json").read_text())["splits"]

    assert told["test"]["samples"] >= 19
    files = list((tmp_path / "out").iterdir())
    assert all(f'"{patient}"'.encode() not in path.read_bytes() for path in files)


def test_shards__are_the_bytes_that_tarfile_writes(pictured, tmp_path) -> None:
    report = _export(pictured, "webdataset", tmp_path / "shards")
    shards = [path for path in report.files if path.suffix == ".tar"]
    assert shards
    for path in shards:
        with (
            tarfile.open(path) as found,
            tarfile.open(tmp_path / "again.tar", "w", format=tarfile.USTAR_FORMAT) as made,
        ):
            for member in found:
                assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
                made.addfile(member, found.extractfile(member))
        assert path.read_bytes() == (tmp_path / "again.tar").read_bytes()


def test_shards__of_numbers_alone_are_refused_and_not_read_as_nothing(services, cells, tmp_path) -> None:
    (tmp_path / "a.cls").write_text("3")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.cls", "a.cls")

    with pytest.raises(LabelingError, match="no sample has a"):
        import_file(services.database, tmp_path / "a.tar", label_set=services.label_set, annotator="eva")
