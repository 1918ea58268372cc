"""Tables of other programs and of public sets: in as a named annotator, what does not fit listed, the rest taken."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from app.cli import cytojepa
from datasets import catalog
from datasets.catalog import Cell
from datasets.files import sha256_of_file
from datasets.identity import study_code
from labeling.imports import import_file
from labeling.records import Label

SLIDE = "SL-BBBBBBBBBBBBB"


def _import(services, path, **options):
    return import_file(services.database, path, label_set=services.label_set, secret_key=services.secret_key, **options)


def _stored(services) -> list[tuple[str, str, str]]:
    with services.database.read() as session:
        return sorted((row.cell_id, row.annotator, row.category) for row in session.query(Label))


def _known_picture(services, like: str, path, color: int) -> str:
    """Write a picture whose bytes the study knows as a cell; returns the cell's code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), (color, 0, 0)).save(path)
    code = study_code(services.secret_key, "CE", sha256_of_file(path))
    with services.database.read() as session:
        cell = session.get(Cell, like)
        values = {column.key: getattr(cell, column.key) for column in Cell.__table__.columns}
    catalog.add(services.database, [], [Cell(**{**values, "id": code})])
    return code


def test_cervicai_style__a_table_of_cell_pictures_goes_in_and_its_other_columns_are_listed(
    services, cells, tmp_path
) -> None:
    """One row a picture: class, a program's score, who and when, as CervicAI-style tools write them."""
    codes = [_known_picture(services, cells[13], tmp_path / "crops" / f"{n}.png", n) for n in range(3)]
    (tmp_path / "labels.csv").write_text(
        "image_path,label,confidence,annotator,timestamp,notes\n"
        "crops/0.png,ASCUS,0.9312345678,dr. x,2024-05-01 12:00:00,MRN 4711\n"
        "crops\\1.png,high-grade squamous intraepithelial lesion,0.5,dr. x,2024-05-01 12:00:00,\n"
        "crops/2.png,Koilocyte,0.5,dr. x,2024-05-01 12:00:00,\n"
        "crops/9.png,HSIL,0.5,dr. x,2024-05-01 12:00:00,\n"
    )
    report = _import(services, tmp_path / "labels.csv", annotator="cervicai")

    assert _stored(services) == sorted([(codes[0], "cervicai", "ASC-US"), (codes[1], "cervicai", "HSIL")])
    assert [where for where, _ in report.refused] == ["row 4", "row 5"]
    assert "category Koilocyte: not in the label set" in report.refused[0][1]
    assert report.left_out == {"confidence": 4, "timestamp": 4, "notes": 1}
    assert _import(services, tmp_path / "labels.csv", annotator="cervicai").known == 2, "again changes nothing"


@pytest.mark.parametrize("header", [
    "xmin,ymin,xmax,ymax", "x1,y1,x2,y2", "left,top,width,height", "bbox_x,bbox_y,bbox_w,bbox_h",
    "x_center,y_center,w,h",
])  # fmt: skip
def test_cervicai_style__a_table_of_boxes_on_slides_goes_in(services, cells, tmp_path, header: str) -> None:
    x, y, side = 45.25, 45.5, 20.0  # cell 1
    is_centre, is_size = "center" in header, "w" in header
    first = (x, y) if is_centre else (x - side / 2, y - side / 2)
    second = (side, side) if is_size else (x + side / 2, y + side / 2)
    (tmp_path / "boxes.csv").write_text(
        f"slide,class,{header},score\n{SLIDE},HSIL,{first[0]},{first[1]},{second[0]},{second[1]},0.9\n"
        f"{SLIDE},HSIL,390,10,{second[0]},{second[1]},0.9\n"
    )
    report = _import(services, tmp_path / "boxes.csv", annotator="cervicai")

    assert _stored(services) == [(cells[1], "cervicai", "HSIL")]
    assert [where for where, _ in report.refused] == ["row 3"]
    assert report.left_out["score"] == 2


def test_cervicai_style__corner_or_centre_is_not_guessed(services, cells, tmp_path) -> None:
    (tmp_path / "boxes.csv").write_text(f"slide,class,x,y,w,h\n{SLIDE},HSIL,45,45,20,20\n")
    report = _import(services, tmp_path / "boxes.csv", annotator="cervicai")

    assert (report.labels, len(report.refused)) == (0, 1)
    assert "corner or centre? Call the columns left and top, or center_x and center_y." in report.refused[0][1]


def test_cervicai_style__tabs_are_columns_too(services, cells, tmp_path) -> None:
    (tmp_path / "a.tsv").write_text(f"slide\tx\ty\tlabel\n{SLIDE}\t45\t45\tASC-H, likely\n{SLIDE}\t45\t45\tASC-H\n")
    report = _import(services, tmp_path / "a.tsv", annotator="cervicai")

    assert (_stored(services), len(report.refused)) == ([(cells[1], "cervicai", "ASC-H")], 1)


def test_cric__own_json_and_own_table_name_pictures_that_lie_beside_them(services, cells, tmp_path) -> None:
    """Columns and keys of the distributed files: points of the nuclei in pixels of the distributed picture."""
    picture = tmp_path / "CRIC" / "0e1f.png"
    picture.parent.mkdir()
    Image.new("RGB", (400, 300), "white").save(picture)
    slide = study_code(services.secret_key, "SL", sha256_of_file(picture))
    with services.database.read() as session:
        known = session.get(catalog.Slide, SLIDE)
        values = {column.key: getattr(known, column.key) for column in catalog.Slide.__table__.columns}
        cell = session.get(Cell, cells[1])
        own = {column.key: getattr(cell, column.key) for column in Cell.__table__.columns}
    catalog.add(services.database, [catalog.Slide(**{**values, "id": slide, "sha256": "9" * 64})],
                [Cell(**{**own, "id": f"CE-CRIC{n:09d}", "slide_id": slide, "x": 100.0 + 90 * n, "y": 80.0})
                 for n in range(2)])  # fmt: skip
    points = [(5277, "Negative for intraepithelial lesion", 101, 79), (5278, "ASC-H", 189, 81), (5279, "SCC", 300, 200)]
    (tmp_path / "classifications.json").write_text(json.dumps([{
        "image_id": 1, "image_doi": "10.6084/m9", "image_name": picture.name,
        "classifications": [
            {"cell_id": i, "bethesda_system": c, "nucleus_x": x, "nucleus_y": y} for i, c, x, y in points
        ],
    }]))  # fmt: skip
    (tmp_path / "classifications.csv").write_text(
        "image_id,image_filename,image_doi,cell_id,bethesda_system,nucleus_x,nucleus_y\n"
        + "".join(f"1,{picture.name},10.6084/m9,{i},{c},{x},{y}\n" for i, c, x, y in points)
    )
    for ending in ("json", "csv"):
        report = _import(services, tmp_path / f"classifications.{ending}", annotator=f"cric {ending}")
        assert (report.labels, len(report.refused)) == (2, 1)
        assert "no cell within" in report.refused[0][1]

    want = [("CE-CRIC000000000", "NILM"), ("CE-CRIC000000001", "ASC-H")]
    assert _stored(services) == sorted((cell, f"cric {e}", name) for cell, name in want for e in ("csv", "json"))
    assert report.left_out == {"image_id": 3, "image_doi": 3}


def test_sipakmed__pictures_are_known_and_classes_that_are_not_bethesdas_are_listed(services, cells, tmp_path) -> None:
    """Outlines (`.dat`) and whole fields lie between the pictures of single cells."""
    folder = tmp_path / "SIPaKMeD"
    _known_picture(services, cells[13], folder / "im_Dyskeratotic" / "CROPPED" / "001_01.bmp", 1)
    for name in ("001_01_nuc.dat", "001_01_cyt.dat"):
        (folder / "im_Dyskeratotic" / "CROPPED" / name).write_text("10,10\n12,12\n")
    report = _import(services, folder, annotator="eva")

    assert report.labels == 0
    assert [(where, reason.partition(":")[0]) for where, reason in report.refused] == [
        ("im_Dyskeratotic/CROPPED/001_01.bmp", "category im_Dyskeratotic")
    ]


def test_command__says_which_columns_it_left_out(services, cells, tmp_path) -> None:
    (tmp_path / "a.csv").write_text(f"cell,label,score\n{cells[0]},HSIL,0.9\n{cells[1]},LSIL,0.8\n")
    services.database.close()
    command = ["import", str(tmp_path / "a.csv"), "--annotator", "cervicai", "--home", str(services.home)]
    answer = CliRunner().invoke(cytojepa, command)

    assert answer.exit_code == 0, answer.output
    assert "2 labels are new" in answer.output
    assert "not taken in, because a label has no place for it: score (2 rows)." in answer.output
    assert json.loads(CliRunner().invoke(cytojepa, [*command, "--json"]).stdout)["left_out"] == {"score": 2}


def test_excel__a_german_table_with_its_commas_words_and_byte_order_marks(services, cells, tmp_path) -> None:
    rows = (f"slide;x;y;label;annotator;seconds;suggestion_shown;comment\r\n"
            f"{SLIDE};45,25;45,5;HSIL;Dr. Groß;3,5;WAHR;1,5\r\n"
            f"{SLIDE};1.045,25;45,5;HSIL;Dr. Groß;;;\r\n")  # fmt: skip
    (tmp_path / "utf8.csv").write_text(f"sep=;\r\n{rows}", encoding="utf-8-sig", newline="")
    (tmp_path / "utf16.txt").write_text(rows.replace(";", "\t"), encoding="utf-16", newline="")
    first = _import(services, tmp_path / "utf8.csv")
    with services.database.read() as session:
        [row] = session.query(Label).all()
        found = row.cell_id, row.annotator, row.seconds, row.suggestion_shown, row.comment

    assert found == (cells[1], "Dr. Groß", 3.5, True, "1,5")
    assert first.refused == [("row 4", "x_px = 1.045,25: not a number.")]
    assert _import(services, tmp_path / "utf16.txt").known == 1


def test_parquet__columns_as_data_frames_have_them(services, cells, tmp_path) -> None:
    """Dictionaries, large texts, decimals, moments, and NaN for what is missing."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    table = pa.table({
        "slide": pa.array([SLIDE] * 2).dictionary_encode(), "x": pa.array([Decimal("45.25")] * 2),
        "y": pa.array([45.5] * 2, pa.float32()), "label": pa.array(["HSIL", "LSIL"], pa.large_string()),
        "seconds": [1.5, math.nan], "confidence": [math.nan, math.nan], "suggestion_shown": [1.0, math.nan],
        "comment": pa.array([math.nan, math.nan]), "made_at": pa.array([moment] * 2, pa.timestamp("ns", "UTC")),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    report = _import(services, tmp_path / "a.parquet", annotator="eva")
    with services.database.read() as session:
        rows = session.query(Label).order_by(Label.id).all()
        found = [(r.cell_id, r.category, r.seconds, r.suggestion_shown, r.comment, r.made_at) for r in rows]

    assert (report.refused, report.left_out) == ([], {})
    assert found == [(cells[1], "HSIL", 1.5, True, None, moment), (cells[1], "LSIL", None, False, None, moment)]


def test_moment__that_no_calendar_has_in_utc_is_listed(services, cells, tmp_path) -> None:
    (tmp_path / "a.csv").write_text(
        f"cell,label,made_at\n{cells[0]},HSIL,0001-01-01T00:00:00+14:00\n{cells[1]},LSIL,\n"
    )
    report = _import(services, tmp_path / "a.csv", annotator="eva")

    assert report.refused == [("row 2", "made_at = 0001-01-01T00:00:00+14:00: no calendar has it in UTC.")]
    assert _stored(services) == [(cells[1], "eva", "LSIL")]
