"""From stored labels to suggestions: what counts, what a probe saw, and the same probe again."""

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from app.agreement_figures import strange_sentence
from datasets import catalog
from datasets.bethesda import BETHESDA
from datasets.catalog import Cell, Slide
from datasets.db import Database, utc_now
from datasets.embeddings import EmbeddingStore
from labeling import leases, probe_files, suggestions
from labeling.errors import ProbeGone, ProbeOutdated
from labeling.evidence import gather
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.mixture import DIAL, RANDOM, SHARED, UNCERTAIN
from labeling.records import Assignment, Candidate, Probe
from labeling.strangers import StrangeCells, strange_cells
from labeling.study import ALGORITHM, Study, likely_errors
from labeling.suggestions import current, rebuild, refit

CELLS, SLIDES = 600, 20
CLASSES = ("NILM", "LSIL", "HSIL")


def _truth(cell: int) -> str:
    return CLASSES[0 if cell % 10 < 8 else cell % 10 - 7]


@pytest.fixture
def study(tmp_path: Path):
    database = Database(tmp_path / "catalog.sqlite")
    now = utc_now()
    slides = [Slide(id=f"SL{n}", kind="cells", mpp=0.25, mpp_source="given", added_at=now) for n in range(SLIDES)]
    cells = [Cell(id=f"CE{n:05d}", slide_id=f"SL{n % SLIDES}", origin="imported", added_at=now) for n in range(CELLS)]
    catalog.add(database, slides, cells)
    store = EmbeddingStore(tmp_path / "embeddings", "f1")
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(CELLS, 16)) + 2.5 * np.eye(16)[[CLASSES.index(_truth(n)) for n in range(CELLS)]]
    for start in range(0, CELLS, 250):
        store.append([cell.id for cell in cells[start : start + 250]], vectors[start : start + 250])
    yield database, store, tmp_path / "probes"
    database.close()


def _refit(study: tuple[Database, EmbeddingStore, Path]):
    database, store, folder = study
    return refit(database, store, folder, BETHESDA, groups=catalog.slide_of_cells(database), reads=1)


def _answer(database: Database, doctor: str, answers: dict[str, str], prefix: str = "k") -> None:
    events = [LabelEvent(key=f"{prefix}{doctor}{cell}", cell_id=cell, category=name) for cell, name in answers.items()]

    assert all(receipt.accepted for receipt in record(database, doctor, events, label_set=BETHESDA))


def _label_truly(study: tuple[Database, EmbeddingStore, Path], cells: range, doctor: str = "ada") -> None:
    _answer(study[0], doctor, {f"CE{n:05d}": _truth(n) for n in cells})


def test_refit__nothing_is_said_until_two_classes_exist(study) -> None:
    database, store, folder = study
    empty = _refit(study)
    _answer(database, "ada", {"CE00000": "NILM", "CE00001": "NILM", "CE00002": "cannot-tell"})
    one = _refit(study)

    assert (empty.labels, empty.probe_id) == (0, None)
    assert (one.labels, one.classes, one.probe_id) == (2, 1, None)
    assert current(database, folder, store) is None


def test_refit__good_suggestions_a_mixed_queue_and_figures(study) -> None:
    database, store, folder = study
    _label_truly(study, range(120))
    report = _refit(study)
    table = current(database, folder, store)
    right = np.mean([table.of(f"CE{n:05d}")[0] == _truth(n) for n in range(120, CELLS)])
    with database.read() as session:
        queue = session.scalars(select(Candidate).order_by(Candidate.rank)).all()
        probe = session.scalar(select(Probe))

    assert (report.labels, report.classes) == (120, 3)
    assert right > 0.9
    assert report.balanced_accuracy > 0.7
    assert {RANDOM, SHARED, UNCERTAIN} <= {row.arm for row in queue}
    assert all(row.reads == (2 if row.arm == SHARED else 1) for row in queue)
    assert not {row.cell_id for row in queue} & {f"CE{n:05d}" for n in range(120)}
    assert probe.metrics["labels_per_class"] == {"HSIL": 12.0, "LSIL": 12.0, "NILM": 96.0}
    assert 0 <= probe.metrics["calibration_error"] < 0.2
    assert probe.metrics["conformal"]["labels"] == [12, 12, 96]


def test_refit__a_rule_brings_its_own_share_of_the_best(study, monkeypatch) -> None:
    database, store, folder = study
    _label_truly(study, range(120))
    asked = []

    def ranked(*_args: object, near_best: float, **_options: object) -> list[Candidate]:
        asked.append(near_best)
        return []

    monkeypatch.setattr(suggestions, "rank_mixed", ranked)
    groups = catalog.slide_of_cells(database)
    for rule in ("rarest-margin", "rarity-margin"):
        refit(database, store, folder, BETHESDA, groups=groups, reads=1, rule=rule)

    assert asked == [0.7, 0.0]


def test_refit__the_dial_sets_the_mix_and_the_reason_says_so(study) -> None:
    database, store, folder = study
    _label_truly(study, range(120))
    shares = []
    for percent in (0, 5):
        refit(database, store, folder, BETHESDA, groups=catalog.slide_of_cells(database), reads=1,
              abnormal_percent=percent)  # fmt: skip
        with database.read() as session:
            queue = session.scalars(select(Candidate)).all()
        shares.append(np.mean([row.suggestion != "NILM" for row in queue]))
    dialled = [row for row in queue if row.arm == DIAL]

    assert shares[1] < shares[0]
    assert {row.suggestion for row in dialled} == {"NILM"}
    assert len({row.reason for row in queue if row.arm in (DIAL, UNCERTAIN)}) == 1
    assert "mix or order of cells" in dialled[0].reason


def test_rebuild__gives_the_same_bits_and_an_undo_the_same_probe(study) -> None:
    database, store, folder = study
    _label_truly(study, range(100))
    first = _refit(study).probe_id
    weights = np.load(folder / first / "weights.npy")
    again = rebuild(store, folder, first)
    _answer(database, "ada", {"CE00300": "HSIL"}, prefix="x")
    second = _refit(study).probe_id
    record(database, "ada", [UndoEvent(key="u", label_key="xadaCE00300")], label_set=BETHESDA)
    store.append(["CE-new"], np.ones((1, 16)))

    assert np.array_equal(np.column_stack([again.coef_, again.intercept_]), weights)
    assert np.array_equal(rebuild(store, folder, first).coef_, weights[:, :-1])
    assert second != first
    with pytest.raises(ProbeGone, match="not this store"):
        rebuild(EmbeddingStore(folder, "f2"), folder, first)
    with pytest.raises(ProbeGone, match="files are gone"):
        rebuild(store, folder, "0" * 32)
    described = folder / first / "probe.json"
    described.write_text(described.read_text().replace(ALGORITHM, "an older one"))
    with pytest.raises(ProbeOutdated, match="another version of the program \\(an older one\\)"):
        rebuild(store, folder, first)


def test_refit__the_same_labels_after_an_undo_give_the_same_probe(study) -> None:
    database, _, _ = study
    _label_truly(study, range(60))
    first = _refit(study).probe_id
    _answer(database, "ada", {"CE00300": "HSIL"}, prefix="x")
    second = _refit(study).probe_id
    record(database, "ada", [UndoEvent(key="u", label_key="xadaCE00300")], label_set=BETHESDA)

    assert second != first
    assert _refit(study).probe_id == first


def test_refit__only_the_newest_probes_are_kept_and_strength_is_tuned_at_doublings(study) -> None:
    _, _, folder = study
    keys = []
    for count in (60, 64, 70, 80, 100, 128, 140):
        _label_truly(study, range(count))
        probe_id = _refit(study).probe_id
        keys.append(json.loads((folder / probe_id / "probe.json").read_text())["settings"]["tuned_on"])

    assert len([path for path in folder.iterdir() if path.is_dir()]) == probe_files.KEPT_PROBES
    assert len(set(keys)) == 3
    assert keys[1:5] == [keys[1]] * 4


def test_evidence__parents_shares_and_second_readers(study) -> None:
    database, store, folder = study
    _label_truly(study, range(40))
    with database.write() as session:
        for cell in ("CE00000", "CE00001", "CE00500"):
            session.add(Assignment(cell_id=cell, annotator="ada", arm=SHARED, served_at=utc_now()))
    _answer(database, "ben", {"CE00001": "HSIL", "CE00510": "squamous-abnormal", "CE00511": "cannot-tell"})
    found = gather(database, BETHESDA, reads=1)

    assert found.waiting == {"CE00000"}
    assert "CE00001" in found.finished
    assert found.shares["CE00001"] == {"NILM": 0.5, "HSIL": 0.5}
    assert list(found.parents) == ["CE00510"]
    assert "CE00511" not in found.shares
    probe_id = _refit(study).probe_id
    saw = json.loads((folder / probe_id / "labels.json").read_text())
    parent = [name for cell, name in zip(saw["cells"], saw["classes"], strict=True) if cell == "CE00510"]
    assert set(parent) == {"LSIL", "HSIL"}
    first = leases.take(database, "cleo", 1, reads=1, lease_seconds=60)
    assert first[0].cell_id == "CE00000"
    assert rebuild(store, folder, probe_id).classes_.tolist() == sorted(CLASSES)


def test_late_doctor__gets_waiting_second_reads_in_every_second_place_and_new_cells_in_between(study) -> None:
    database, _, _ = study
    _label_truly(study, range(120))
    waiting = {f"CE{n:05d}" for n in range(60)}
    with database.write() as session:
        session.add_all(Assignment(cell_id=i, annotator="ada", arm=SHARED, served_at=utc_now()) for i in waiting)
    _refit(study)
    first = leases.take(database, "cleo", 20, reads=1, lease_seconds=60)

    assert [item.cell_id in waiting for item in first] == [True, False] * 10


def test_likely_errors__planted_slips_are_among_the_first(study) -> None:
    database, store, _ = study
    _label_truly(study, range(200))
    slips = {"CE00008": "NILM", "CE00010": "HSIL", "CE00019": "NILM", "CE00033": "LSIL"}
    _answer(database, "ada", slips, prefix="slip")
    opened = Study.open(database, store, BETHESDA, groups=catalog.slide_of_cells(database), reads=1)

    found = likely_errors(opened)

    assert len({row.cell_id for row in found[:10]} & set(slips)) >= 2
    assert [row.likelihood for row in found] == sorted(row.likelihood for row in found)
    assert {row.answer for row in found if row.cell_id == "CE00010"} <= {"HSIL"}
    assert all(0 <= row.novelty <= 1 for row in found)


def test_strange_cells__of_another_laboratory_are_told_until_some_are_labelled(study) -> None:
    database, store, _ = study
    now, generator = utc_now(), np.random.default_rng(1)
    there = [Cell(id=f"CX{n:03d}", slide_id="SLX", origin="imported", added_at=now) for n in range(60)]
    catalog.add(database, [Slide(id="SLX", kind="cells", mpp=0.25, mpp_source="given", added_at=now)], there)
    store.append([cell.id for cell in there], generator.normal(size=(60, 16)) + 12 * (np.arange(16) > 7))

    def look() -> StrangeCells | None:
        opened = Study.open(database, store, BETHESDA, groups=catalog.slide_of_cells(database), reads=1)
        return strange_cells(opened, np.arange(len(store)))

    assert look() is None
    _label_truly(study, range(200))
    found = look()
    assert found is not None
    assert (found.cells, found.slides) == (460, ["SLX"])
    assert 60 <= found.strange < 100
    assert "Slides of which most cells are: 1 (SLX)" in (strange_sentence(found) or "")

    _answer(database, "ada", {cell.id: "HSIL" for cell in there[:20]}, prefix="there")
    found = look()
    assert found is not None
    assert found.slides == []
    assert found.strange < 50
    assert strange_sentence(found) is None


@pytest.mark.parametrize(("strange", "slides", "told"), [
    (14, [], None), (15, [], "15 % of the cells"), (3, ["SL1"], "(SL1)"),
    (90, [f"SL{n}" for n in range(7)], "most cells are: 7 (SL0, SL1, SL2, SL3, SL4)"),
])  # fmt: skip
def test_strange_sentence__is_said_of_many_cells_or_of_whole_slides(strange: int, slides: list[str], told: str | None):
    found = strange_sentence(StrangeCells(cells=100, strange=strange, slides=slides))

    assert found is None if told is None else told in (found or "")


def test_last_cell_number__grows_with_cells_and_only_with_them(study) -> None:
    database, _, _ = study

    def last() -> int:
        with database.read() as session:
            return catalog.last_cell_number(session)

    before = last()
    _label_truly(study, range(3))
    catalog.add(database, [], [Cell(id="CE00000", slide_id="SL0", origin="imported", added_at=utc_now())])
    same = last()
    catalog.add(database, [], [Cell(id="CE-new", slide_id="SL0", origin="imported", added_at=utc_now())])

    assert same == before
    assert last() > before
