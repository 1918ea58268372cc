"""Opinions on slides, verdicts and what was told after an answer: they leave in tables and come back as they were."""

import json
from datetime import datetime

import pyarrow.parquet as pq
import pytest

from labeling.adjudication import VerdictEvent, decide
from labeling.errors import LabelingError
from labeling.export import FORMATS, export_labels
from labeling.export.rows import Selection, split_of
from labeling.imports import import_file
from labeling.opinions import OpinionEvent, record
from labeling.records import Disclosure, Label
from labeling.verification import check_chain

SLIDE = "SL-AAAAAAAAAAAAA"
NOT_KEPT = {"label_id"}


@pytest.fixture
def said(rich, cells):
    """The rich study with opinions, verdicts, and a suggestion that was told after the answer."""
    opinions = [
        OpinionEvent(key="o1", slide_id=SLIDE, adequacy="satisfactory", zone="absent", category="NILM"),
        OpinionEvent(key="o2", slide_id=SLIDE, adequacy="unsatisfactory", comment="=thick, 'dark'"),
    ]
    assert all(r.accepted for r in record(rich.database, "ada", opinions, label_set=rich.label_set))
    verdicts = [VerdictEvent(key="v1", cell_id=cells[1], category="SCC", comment="nucleoli"),
                VerdictEvent(key="v2", cell_id=cells[2], category="LSIL"),
                VerdictEvent(key="v3", cell_id=cells[2], category=None)]  # fmt: skip
    assert all(r.accepted for r in decide(rich.database, "zoe", verdicts, label_set=rich.label_set))
    with rich.database.write() as session:
        label = session.query(Label).filter(Label.key == "ben-1").one()
        session.add(Disclosure(label_id=label.id))
    return rich


def _rows(services, out, **wanted) -> list[dict]:
    export_labels(services.database, "parquet", out, label_set=services.label_set, selection=Selection(**wanted))
    return [{k: v for k, v in row.items() if k not in NOT_KEPT} for row in pq.read_table(out).to_pylist()]


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_round_trip__every_row_of_every_kind_comes_back(said, empty_copy, tmp_path, name) -> None:
    out = tmp_path / f"all.{name}"
    export_labels(said.database, name, out, label_set=said.label_set)
    report = import_file(empty_copy.database, out, label_set=said.label_set)
    again = import_file(empty_copy.database, out, label_set=said.label_set)
    before, after = _rows(said, tmp_path / "before.parquet"), _rows(empty_copy, tmp_path / "after.parquet")

    assert {row["kind"] for row in before} == {"label", "reference", "opinion", "verdict"}
    assert before == after
    assert (report.labels, report.said, report.refused) == (24, 5, [])
    assert (again.labels, again.said, again.known, again.refused) == (0, 0, 29, [])
    assert check_chain(empty_copy.database).problems == ()


def test_verdict__names_the_labels_that_stood(said, tmp_path) -> None:
    rows = {row["label_key"]: row for row in _rows(said, tmp_path / "a.parquet", kinds=("verdict",))}

    assert json.loads(rows["v1"]["of_labels"]) == ["ada-1", "ben-1"]
    assert [(key, row["category"], row["is_current"]) for key, row in rows.items()] == [
        ("v1", "SCC", True), ("v2", "LSIL", False), ("v3", None, False)
    ]  # fmt: skip
    assert (rows["v1"]["annotator"], rows["v1"]["comment"], rows["v1"]["x_px"]) == ("zoe", "nucleoli", 45.25)


def test_verdict__of_another_day_never_outdoes_a_newer_one(said, empty_copy, cells, tmp_path) -> None:
    export_labels(said.database, "csv", tmp_path / "a.csv", label_set=said.label_set)
    newer = VerdictEvent(key="here", cell_id=cells[1], category="HSIL")
    assert decide(empty_copy.database, "yan", [newer], label_set=said.label_set)[0].accepted
    report = import_file(empty_copy.database, tmp_path / "a.csv", label_set=said.label_set)

    assert (report.labels, report.said) == (24, 4)
    assert ["a newer verdict" in reason for _, reason in report.refused] == [True]


def test_named_annotator__takes_opinions_over_and_no_verdict(said, empty_copy, tmp_path) -> None:
    export_labels(said.database, "csv", tmp_path / "a.csv", label_set=said.label_set)
    report = import_file(empty_copy.database, tmp_path / "a.csv", label_set=said.label_set, annotator="eva")
    rows = _rows(empty_copy, tmp_path / "a.parquet", kinds=("opinion", "verdict"))

    assert [(row["kind"], row["annotator"]) for row in rows] == [("opinion", "eva")] * 2
    assert [reason for _, reason in report.refused] == [
        "a verdict of zoe: it cannot become another's; import it without --annotator."
    ] * 3


@pytest.mark.parametrize(("row", "reason"), [
    ("opinion,k,SL-AAAAAAAAAAAAA,,ada,NILM,fine,,", "adequacy fine"),
    ("opinion,k,SL-ZZZ,,ada,NILM,,,", "slide SL-ZZZ: not in the catalogue"),
    ("opinion,k,SL-AAAAAAAAAAAAA,,ada,not-a-cell,,,", "category not-a-cell"),
    ("verdict,k,,CE-0000000000001,zoe,purple,,,", "category purple"),
    ("verdict,k,,CE-0000000000001,zoe,NILM,,,7", "of_labels"),
    (f"label,k,,CE-0000000000001,ada,NILM,,{'x' * 501},", "comment of 501 characters; at most 500"),
    (f"label,{'k' * 81},,CE-0000000000001,ada,NILM,,,", "label_key of 81 characters"),
])  # fmt: skip
def test_import__what_makes_no_sense_is_listed(services, cells, tmp_path, row: str, reason: str) -> None:
    (tmp_path / "a.csv").write_text(f"kind,label_key,slide,cell,annotator,category,adequacy,comment,of_labels\n{row}\n")
    report = import_file(services.database, tmp_path / "a.csv", label_set=services.label_set)

    assert (report.labels, report.said) == (0, 0)
    [(_, told)] = report.refused
    assert reason in told


def test_filters__hold_for_opinions_and_verdicts_too(said, cells, tmp_path) -> None:
    def keys(**wanted) -> list[str]:
        return [row["label_key"] for row in _rows(said, tmp_path / "f.parquet", kinds=("opinion", "verdict"), **wanted)]

    moment = _rows(said, tmp_path / "m.parquet", kinds=("opinion",))[1]["made_at"]
    until = {"until": datetime.fromisoformat(moment)}
    assert keys() == ["o1", "o2", "v1", "v2", "v3"]
    assert keys(**until) == ["o1"]
    assert keys(agreement="adjudicated") == ["v1"]
    assert keys(min_share=1.0, min_readers=2) == ["v1", "v2", "v3"]
    assert keys(is_current_only=True) == ["o2", "v1"]
    assert keys(slides=("SL-BBBBBBBBBBBBB",)) == ["v1"]
    assert keys(annotators=("zoe",), categories=("LSIL",)) == ["v2"]


def test_split__of_an_opinion_is_its_slides(said, tmp_path) -> None:
    patient = next(f"p{n}" for n in range(100) if split_of(f"patient p{n}") != split_of(SLIDE))
    (tmp_path / "patients.csv").write_text(f"slide,patient\n{SLIDE},{patient}\n")
    export_labels(said.database, "parquet", tmp_path / "a.parquet", label_set=said.label_set,
                  patients=tmp_path / "patients.csv")  # fmt: skip
    rows = [row for row in pq.read_table(tmp_path / "a.parquet").to_pylist() if row["slide"] == SLIDE]

    assert {row["kind"] for row in rows} == {"label", "reference", "opinion", "verdict"}
    assert {row["split"] for row in rows} == {split_of(f"patient {patient}")}


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"csv", "parquet"}))
def test_formats_of_cells__refuse_rows_that_have_none_in_words(said, tmp_path, name) -> None:
    with pytest.raises(LabelingError, match="rows opinion: this format holds labels of cells"):
        export_labels(said.database, name, tmp_path / "out", label_set=said.label_set,
                      selection=Selection(kinds=("opinion",)))  # fmt: skip
    assert not (tmp_path / "out").exists()
