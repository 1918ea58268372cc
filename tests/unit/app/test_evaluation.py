"""Whose labels an evaluation takes as truth."""

import pytest

from app.evaluation import load_pool
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from datasets.errors import DatasetError
from labeling.adjudication import VerdictEvent, decide
from labeling.imports.store import ImportedLabel, store_labels
from labeling.labels import LabelEvent, record
from labeling.records import BlindSlide

CELLS = [f"CE-{number:013d}" for number in range(8)]


def _label(services, who: str, answers: dict[int, str]) -> None:
    events = [
        LabelEvent(key=f"{who}-{n}", cell_id=CELLS[n], category=name, seconds=1.0, decided_at=utc_now())
        for n, name in answers.items()
    ]
    assert all(r.accepted for r in record(services.database, who, events, label_set=services.label_set))


@pytest.fixture
def study(services):
    """Eight cells on four slides: two doctors, a verdict, what came with the data, and a slide kept blind."""
    now = utc_now()
    slides = [
        Slide(id=f"SL-{name * 13}", kind="field", sha256=name.lower() * 64, width_px=400, height_px=300, mpp=0.25,
              mpp_source="given", added_at=now)
        for name in "ABCD"
    ]  # fmt: skip
    cells = [
        Cell(id=cell_id, slide_id=slides[n // 2].id, x=20.0 + n, y=20.0, crop_mpp=0.25, origin="imported", added_at=now)
        for n, cell_id in enumerate(CELLS)
    ]
    catalog.add(services.database, slides, cells)
    store_labels(services.database, [ImportedLabel(cell_id=CELLS[n], category=c) for n, c in ((0, "SCC"), (3, "NILM"))])
    _label(services, "ada", {0: "HSIL", 1: "NILM", 2: "LSIL", 4: "HSIL", 5: "cannot-tell", 6: "HSIL"})
    _label(services, "ben", {2: "HSIL", 4: "LSIL"})
    verdict = VerdictEvent(key="v-1", cell_id=CELLS[4], category="LSIL")
    assert decide(services.database, "vera", [verdict], label_set=services.label_set)[0].accepted
    with services.database.write() as session:
        session.add(BlindSlide(slide_id=slides[3].id, chosen_at=now))
    return services


def test_pool__of_what_came_with_the_data(study) -> None:
    pool = load_pool(study)

    assert dict(zip(pool.cell_ids, pool.truth, strict=True)) == {CELLS[0]: "SCC", CELLS[3]: "NILM"}


def test_pool__of_the_doctors_without_ties_unusable_answers_and_blind_slides(study) -> None:
    pool = load_pool(study, "doctors")

    assert dict(zip(pool.cell_ids, pool.truth, strict=True)) == {CELLS[0]: "HSIL", CELLS[1]: "NILM", CELLS[4]: "LSIL"}


def test_pool__too_few_classes_say_the_way_out(services) -> None:
    with pytest.raises(DatasetError, match=r"the truth `doctors` has 0.*--truth imported"):
        load_pool(services, "doctors")
