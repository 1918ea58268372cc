"""What other programs write comes in where it fits the study; the rest is listed with its reason."""

import json
from contextlib import nullcontext

import pytest
from sqlalchemy import func, select

from labeling.errors import LabelingError
from labeling.export import export_labels
from labeling.export.rows import Selection, export_rows
from labeling.imports import import_file
from labeling.records import Label


def _count(services) -> int:
    with services.database.read() as session:
        return session.scalar(select(func.count()).select_from(Label))


def _import(services, path, **options):
    report = import_file(services.database, path, label_set=services.label_set, **options)
    return report.labels, [where for where, _ in report.refused], [reason for _, reason in report.refused]


def test_import__foreign_table_by_slide_and_point(services, cells, tmp_path) -> None:
    path = tmp_path / "points.csv"
    path.write_text(
        "image_filename,X,Y,Label,notes\n"
        "SL-BBBBBBBBBBBBB.png,46,45,hsil,near\n"
        "SL-BBBBBBBBBBBBB.png,300,10,HSIL,nobody there\n"
        "SL-ZZZZZZZZZZZZZ.png,46,45,HSIL,no such slide\n"
        "SL-BBBBBBBBBBBBB.png,46,45,purple,no such category\n"
        "SL-BBBBBBBBBBBBB.png,46,nan,HSIL,no number\n"
        ",,,,\n"
    )
    labels, where, reasons = _import(services, path, annotator="eva")

    assert (labels, where) == (1, ["row 3", "row 4", "row 5", "row 6", "row 7"])
    assert "no cell within 20 px" in reasons[0]
    assert "no slide of the catalogue" in reasons[1]
    assert "purple: not in the label set" in reasons[2]
    assert "y_px = nan: not a number" in reasons[3]
    with services.database.read() as session:
        stored = session.scalars(select(Label)).one()
    assert (stored.cell_id, stored.annotator, stored.category) == (cells[1], "eva", "HSIL")


def test_import__semicolons_bom_and_windows_lines(services, cells, tmp_path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes(f"\ufeffcell;class\r\n{cells[0]};ASC-US\r\n{cells[1]};Not a cell\r\n".encode())

    assert _import(services, path)[:2] == (2, [])


@pytest.mark.parametrize(("name", "content"), [
    ("a.csv", b"\xff\xfa\x00\x01"), ("a.csv", b"\xff\xfe\x00\xd8"),
    ("a.json", b"{"), ("a.json", b"[1, null, {}]"), ("a.json", b"{}"), ("a.xlsx", b""),
    ("a.parquet", b"PAR1"), ("a.json", b"[" * 100_000),
    ("a.json", b'{"features": [null, {"geometry": {"coordinates": {"a": 1}}, "properties": []}]}'),
    ("a.json", b'{"annotations": [7, {"bbox": "x"}], "images": [3], "categories": [null]}'),
])  # fmt: skip
def test_import__nonsense_is_refused_in_words(services, cells, tmp_path, name, content) -> None:
    (tmp_path / name).write_bytes(content)
    is_readable = name == "a.json" and content.startswith((b'{"f', b'{"a'))
    with nullcontext() if is_readable else pytest.raises(LabelingError, match=name):
        assert _import(services, tmp_path / name)[0] == 0


def test_import__a_class_changed_in_another_program_needs_a_name(rich, cells, tmp_path) -> None:
    only = Selection(annotators=("ada",))
    export_labels(rich.database, "geojson", tmp_path / "all.geojson", label_set=rich.label_set, selection=only)
    content = json.loads((tmp_path / "all.geojson").read_text())
    content["features"][0]["properties"]["classification"]["name"] = "ASC-H"
    (tmp_path / "all.geojson").write_text(json.dumps(content))
    labels, where, reasons = _import(rich, tmp_path / "all.geojson")
    assert (labels, where) == (0, ["object 1"])
    assert "changed from NILM" in reasons[0]
    before = _count(rich)
    assert _import(rich, tmp_path / "all.geojson", annotator="eva")[0] == 9

    with rich.database.read() as session:
        mine = {r.cell_id: r.category for r in session.scalars(select(Label).where(Label.annotator == "eva"))}
    assert mine[cells[0]] == "ASC-H"
    assert _count(rich) == before + 9


def test_import__bad_past_is_refused(services, cells, tmp_path) -> None:
    path = tmp_path / "past.csv"
    path.write_text(
        "cell,category,made_at,seconds,suggestion_shown\n"
        f"{cells[0]},HSIL,2020-01-01T00:00:00,,\n"
        f"{cells[0]},HSIL,2999-01-01T00:00:00+00:00,,\n"
        f"{cells[0]},HSIL,yesterday,,\n"
        f"{cells[0]},HSIL,,soon,\n"
        f"{cells[0]},HSIL,,,perhaps\n"
        f"{cells[0]},HSIL,2020-01-01T00:00:00+02:00,1.5,true\n"
    )

    assert _import(services, path)[:2] == (1, ["row 2", "row 3", "row 4", "row 5", "row 6"])


def test_import__key_of_another_label_is_refused(rich, cells, tmp_path) -> None:
    path = tmp_path / "forged.csv"
    path.write_text(f"label_key,cell,annotator,category\nada-1,{cells[1]},ada,NILM\nada-undo,{cells[1]},ada,NILM\n")
    labels, where, reasons = _import(rich, path)

    assert (labels, where) == (0, ["row 2", "row 3"])
    assert all("another content" in reason for reason in reasons)


def test_import__the_encoder_behind_a_foreign_suggestion_is_kept_and_may_not_change(services, cells, tmp_path) -> None:
    head = "label_key,cell,category,annotator,probe,encoder_fingerprint\n"
    first, second = (f"{key},{cell},HSIL,ada,{'p' * 32},{encoder * 64}\n"
                     for key, cell, encoder in (("k1", cells[0], "e"), ("k2", cells[1], "f")))  # fmt: skip
    (tmp_path / "t.csv").write_text(head + first + second + f"k3,{cells[2]},HSIL,ada,,{'e' * 64}\n")
    report = import_file(services.database, tmp_path / "t.csv", label_set=services.label_set)
    told = {row["label_key"]: row["encoder_fingerprint"] for row in export_rows(services.database, services.label_set)}

    assert report.refused == [("row 3", f"probe {'p' * 32}: fitted with encoder {'e' * 64}, not {'f' * 64}.")]
    assert told == {"k1": "e" * 64, "k3": None}
    assert report.left_out == {"encoder_fingerprint": 1}  # of a row that names no probe
