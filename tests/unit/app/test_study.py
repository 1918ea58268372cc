"""The study in Python: frames and Arrow of the same facts, labels in once, read only by default."""

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import select

from app.study import open_study
from datasets import catalog
from datasets.embeddings import EmbeddingStore, set_current
from datasets.errors import DatabaseError, StoreError
from labeling.errors import AccountError, LabelingError, LabelRefused
from labeling.export import export_labels
from labeling.export.rows import split_of
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.records import Event
from labeling.verification import check_chain
from tests.builders import drawn_study


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A drawn study with vectors, and four labels of ada, one of them taken back."""
    folder = tmp_path_factory.mktemp("study")
    services = drawn_study(folder / "home", folder / "drawn", num_slides=1)
    cells = catalog.cell_ids(services.database)
    store = EmbeddingStore(services.embeddings_folder, "f" * 16)
    for part in (cells[:5], cells[5:9]):
        store.append(part, np.arange(len(part) * 3).reshape(-1, 3) / 8)
    set_current(services.embeddings_folder, "f" * 16)
    events = [LabelEvent(key=f"a{n}", cell_id=cells[n], category=("NILM", "HSIL")[n % 2], seconds=n) for n in range(4)]
    record(services.database, "ada", [*events, UndoEvent(key="u", label_key="a2")], label_set=services.label_set)
    services.database.close()
    return services.home


@pytest.fixture
def study(home):
    with open_study(home) as opened:
        yield opened


def test_open__what_is_no_study_is_refused_and_stays_untouched(tmp_path) -> None:
    with pytest.raises(DatabaseError, match="no study in this folder"):
        open_study(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_cells__frame_and_table_hold_the_catalogue(study) -> None:
    frame, table = study.cells(), study.cells_table()
    database = study._services.database
    cells = catalog.cells(database)

    assert list(frame.index) == [c.id for c in cells] == table["cell"].to_pylist()
    assert list(frame["x_px"]) == [c.x for c in cells]
    assert set(frame["slide"]) == catalog.slide_ids(database)
    assert frame["crop_mpp"].nunique() == 1
    assert table.schema.field("added_at").type == pa.timestamp("us", tz="UTC")
    picture = study.crop(frame.index[0])
    assert (picture.dtype, picture.shape[2], picture.shape[0] == picture.shape[1]) == (np.uint8, 3, True)
    with pytest.raises(StoreError, match=r"cell \.\./x"):
        study.crop("../x")


def test_labels__all_current_and_reference(study) -> None:
    frame = study.labels(annotators=["ada"])
    ada = frame[frame["label_key"].isin(["a0", "a1", "a2", "a3"])]

    assert list(ada["label_key"]) == ["a0", "a1", "a2", "a3"]
    assert list(ada["is_current"]) == [True, True, False, True]
    assert list(ada["seconds"]) == [0, 1, 2, 3]
    assert str(frame["made_at"].dtype) == "datetime64[us, UTC]"
    assert datetime.now(UTC) - ada["made_at"].iloc[0].to_pydatetime() < pd.Timedelta(minutes=10)
    assert ada["taken_back_at"].notna().tolist() == [False, False, True, False]
    current = study.labels_table(current_only=True, annotators=["ada"], categories=["HSIL"])
    assert {"a1", "a3"} <= set(current["label_key"].to_pylist())
    references = study.labels(references=True)
    assert set(references["kind"]) == {"reference"}
    assert references["cell"].is_unique


def test_embeddings__frame_table_and_a_few_rows(study) -> None:
    frame, table = study.embeddings(), study.embeddings_table()
    few = study.vectors([frame.index[7], frame.index[0]])

    assert (frame.shape, frame.dtypes.iloc[0]) == ((9, 3), np.float32)
    assert frame.iloc[6].tolist() == [3 / 8, 4 / 8, 5 / 8]
    assert table["vector"].to_pylist()[6] == [3 / 8, 4 / 8, 5 / 8]
    assert table["cell"].to_pylist() == list(frame.index)
    assert table.schema.metadata[b"encoder_fingerprint"] == b"f" * 16
    np.testing.assert_array_equal(few, frame.iloc[[7, 0]].to_numpy())
    with pytest.raises(StoreError, match="1 cells have no vector"):
        study.vectors(["CE-NONE"])


def test_suggestions__none_before_the_first_fit(study) -> None:
    assert study.suggestions().empty
    assert study.suggestions_table().column_names == ["cell", "category", "probability"]


def test_write__not_without_an_annotator(study, home) -> None:
    for write in (lambda: study.write_labels({"x": "HSIL"}, batch="b"), lambda: study.take_back(["a0"], batch="b")):
        with pytest.raises(LabelRefused, match="reading only"):
            write()
    for name in ("imported", "", " ada", "a" * 65):
        with pytest.raises(AccountError):
            open_study(home, annotator=name)


def test_write__once_however_often_it_runs_and_told_in_the_chain(home) -> None:
    with open_study(home, annotator="model-7") as study:
        cells = list(study.cells().index)
        answers = pd.DataFrame({
            "cell": [cells[10], cells[11], "CE-NONE", cells[12]], "category": ["HSIL", "NILM", "NILM", "nonsense"],
            "confidence": ["unsure", None, None, None], "seconds": [1.5, None, None, None],
            "decided_at": [pd.Timestamp("2026-05-04T09:30:00+02:00"), pd.NaT, pd.NaT, pd.NaT],
        })  # fmt: skip
        first = study.write_labels(answers, batch="first look")
        again = study.write_labels(answers, batch="first look")
        changed = study.write_labels({cells[10]: "LSIL"}, batch="first look")
        anew = study.write_labels({cells[10]: "LSIL"}, batch="second look")
        labels = study.labels(annotators=["model-7"])
        with study._services.database.read() as session:
            told = json.loads(session.scalars(select(Event.body).order_by(Event.seq.desc())).first())
        problems = check_chain(study._services.database).problems

    assert first["accepted"].tolist() == again["accepted"].tolist() == [True, True, False, False]
    assert "not in the catalogue" in first["reason"][2]
    assert "not in the label set" in first["reason"][3]
    assert (changed["accepted"].item(), anew["accepted"].item()) == (False, True)
    assert list(labels["category"]) == ["HSIL", "NILM", "LSIL"]
    assert list(labels["is_current"]) == [False, True, True]
    assert labels["decided_at"][0] == pd.Timestamp("2026-05-04T07:30:00+00:00")
    assert (labels["confidence"][0], labels["seconds"][0], labels["confidence"].isna()[1]) == ("unsure", 1.5, True)
    assert (told["by"], told["via"], told["row"]["category"]) == ("model-7", "Python: second look", "LSIL")
    assert problems == ()


def test_write__taken_back_labels_stay_on_record(home) -> None:
    with open_study(home, annotator="model-8") as study:
        cell = study.cells().index[13]
        key = study.write_labels({cell: "HSIL"}, batch="b")["key"].item()
        first, again = study.take_back([key], batch="b"), study.take_back([key], batch="b")
        others = study.take_back(["a0", "nothing"], batch="b")
        labels = study.labels(annotators=["model-8"])

    assert [first["accepted"].item(), again["accepted"].item()] == [True, True]
    assert others["accepted"].tolist() == [False, False]
    assert list(labels["is_current"]) == [False]


@pytest.mark.parametrize(
    ("answers", "match"),
    [(pd.DataFrame({"cell": ["x"]}), "cell and category are needed"),
     (pd.DataFrame({"cell": ["x"], "category": ["y"], "colour": ["z"]}), "beside them key"),
     (pd.DataFrame({"cell": ["x", "x"], "category": ["HSIL", "NILM"]}), "stands twice")],
)  # fmt: skip
def test_write__frames_that_make_no_sense(home, answers, match) -> None:
    with open_study(home, annotator="ada") as study, pytest.raises(LabelRefused, match=match):
        study.write_labels(answers, batch="b")


def test_export__the_same_bytes_as_the_command(study, tmp_path) -> None:
    first = study.export("csv", tmp_path / "a.csv", references=False)
    second = study.export("csv", tmp_path / "b.csv", references=False)

    assert first.sha256 == second.sha256
    for name in ("csv", "coco"):
        command = export_labels(study._services.database, name, tmp_path / "command", label_set=study.label_set,
                                crop_px=study._services.settings.crop_px)  # fmt: skip
        assert study.export(name, tmp_path / "python").sha256 == command.sha256, name
    assert len(pd.read_csv(tmp_path / "a.csv")) == first.rows == len(study.labels())
    with pytest.raises(LabelingError, match="format xml"):
        study.export("xml", tmp_path / "c")


def test_labels__split_by_patient_as_the_export_does(study, tmp_path, monkeypatch) -> None:
    slide = study.labels()["slide"].iloc[0]
    patient = next(f"p{n}" for n in range(100) if split_of(f"p{n}") != split_of(slide))
    monkeypatch.setattr("labeling.export.groups._patient_of", lambda _home, _slide: patient)
    study.export("parquet", tmp_path / "a.parquet", references=False)

    assert set(study.labels()["split"]) == set(pd.read_parquet(tmp_path / "a.parquet")["split"]) == {split_of(patient)}


def test_labels_and_export__by_agreement_and_moment(study, tmp_path) -> None:
    last = study.labels()["made_at"].max()
    before = study.labels(until=last)

    assert len(before) + len(study.labels(since=last)) == len(study.labels()) > len(before)
    assert study.export("csv", tmp_path / "a.csv", references=False, until=last).rows == len(before)
    assert study.export("csv", tmp_path / "b.csv", references=False, agreement="agree").rows == 0
    sure = study.labels(min_share=1.0, annotators=["ada"])
    assert list(sure["label_id"]) == list(study.labels(current_only=True, annotators=["ada"])["label_id"])
    with pytest.raises(ValueError, match="say its time zone"):
        study.labels(since=datetime(2026, 1, 1))  # noqa: DTZ001  that is the fault
