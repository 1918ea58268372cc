"""Filters of the export, and the split: properties over drawn studies."""

from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.adjudication import VerdictEvent, decide
from labeling.errors import LabelingError
from labeling.export import export_labels
from labeling.export.rows import Selection, split_of
from labeling.labels import LabelEvent, record
from labeling.records import Label


def _rows(services, out, **options) -> list[dict]:
    selection = Selection(**options)
    export_labels(services.database, "parquet", out, label_set=services.label_set, selection=selection)
    return pq.read_table(out).to_pylist()


@pytest.fixture
def disputed(services, cells):
    """Cells 0-2: two agree; 3-5: they differ; 6: two of three; 7: one reader; 3 has a verdict."""
    answers = {
        "ada": {**dict.fromkeys(range(8), "NILM")},
        "ben": {0: "NILM", 1: "NILM", 2: "NILM", 3: "HSIL", 4: "HSIL", 5: "LSIL", 6: "NILM"},
        "eva": {6: "HSIL"},
    }
    for who, given_answers in answers.items():
        events = [LabelEvent(key=f"{who}-{n}", cell_id=cells[n], category=c) for n, c in given_answers.items()]
        assert all(r.accepted for r in record(services.database, who, events, label_set=services.label_set))
    assert decide(services.database, "vera", [VerdictEvent(key="v", cell_id=cells[3], category="HSIL")],
                  label_set=services.label_set)[0].accepted  # fmt: skip
    assert decide(services.database, "vera", [VerdictEvent(key="w", cell_id=cells[4], category="HSIL"),
                                              VerdictEvent(key="x", cell_id=cells[4], category=None)],
                  label_set=services.label_set)[1].accepted  # fmt: skip
    return services


@pytest.mark.parametrize(("options", "numbers"), [
    ({"agreement": "agree"}, {0, 1, 2}), ({"agreement": "differ"}, {3, 4, 5, 6}), ({"agreement": "adjudicated"}, {3}),
    ({"min_share": 0.6}, {0, 1, 2, 6, 7}), ({"min_share": 0.6, "min_readers": 2}, {0, 1, 2, 6}),
    ({"min_share": 2 / 3, "min_readers": 3}, {6}), ({"min_share": 1.0, "min_readers": 2}, {0, 1, 2}),
])  # fmt: skip
def test_agreement__chooses_cells_for_labels_and_reference_labels(disputed, cells, tmp_path, options, numbers) -> None:
    rows = _rows(disputed, tmp_path / "a.parquet", **options)
    chosen = {cells[n] for n in numbers}

    assert {row["cell"] for row in rows if row["kind"] == "label"} == chosen
    assert {row["cell"] for row in rows if row["kind"] == "reference"} <= chosen
    assert len([row for row in rows if row["kind"] == "reference"]) == len(numbers - {4, 5})


def test_agreement__a_replaced_answer_no_longer_counts(disputed, cells, tmp_path) -> None:
    events = [LabelEvent(key="new", cell_id=cells[5], category="NILM")]
    assert record(disputed.database, "ben", events, label_set=disputed.label_set)[0].accepted
    rows = _rows(disputed, tmp_path / "a.parquet", agreement="agree", kinds=("label",), is_current_only=True)

    assert {row["cell"] for row in rows} == {cells[n] for n in (0, 1, 2, 5)}


def test_dates__from_is_included_and_until_is_not(disputed, tmp_path) -> None:
    with disputed.database.read() as session:
        moments = sorted(label.made_at for label in session.query(Label))
    middle = moments[len(moments) // 2]
    early = _rows(disputed, tmp_path / "a.parquet", until=middle, kinds=("label",))
    late = _rows(disputed, tmp_path / "b.parquet", since=middle, kinds=("label",))

    assert len(early) == sum(moment < middle for moment in moments)
    assert len(late) == sum(moment >= middle for moment in moments)
    assert all(datetime.fromisoformat(row["made_at"]) >= middle for row in late)
    assert _rows(disputed, tmp_path / "c.parquet", since=moments[-1] + timedelta(days=1)) == []


def test_patients__a_table_that_does_not_fit_is_told(disputed, tmp_path) -> None:
    for text, words in (("slide,name\n", "slide and patient"), ("slide,patient\nSL-X,p\n", "no slide of this study")):
        (tmp_path / "p.csv").write_text(text)
        with pytest.raises(LabelingError, match=words):
            export_labels(disputed.database, "csv", tmp_path / "o.csv", label_set=disputed.label_set,
                          patients=tmp_path / "p.csv")  # fmt: skip


@given(groups=st.dictionaries(st.integers(0, 60), st.sampled_from("pqrstuv"), max_size=60))
def test_split__no_patient_and_no_slide_on_two_sides(groups: dict[int, str]) -> None:
    """Whatever slides are of one patient: all its slides have its side, and it does not depend on the others."""
    table = {f"SL-{n:013d}": f"patient {patient}" for n, patient in groups.items()}
    sides: dict[str, set[str]] = {}
    for number in range(61):
        slide = f"SL-{number:013d}"
        group = table.get(slide, slide)
        sides.setdefault(group, set()).add(split_of(group))

    assert all(len(found) == 1 for found in sides.values())
    assert all(sides[group] == {split_of(group)} for group in sides)
