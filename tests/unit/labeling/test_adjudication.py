"""Disagreements, verdicts, and the cells that may be shown as examples."""

import pytest

from datasets import catalog
from datasets.bethesda import BETHESDA
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from labeling import adjudication, answers, leases
from labeling.adjudication import VerdictEvent
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.leases import Offer
from labeling.records import IMPORTED, Label


@pytest.fixture
def database(services):
    now = utc_now()
    slide = Slide(id="s1", kind="cells", mpp=0.25, mpp_source="given", added_at=now)
    cells = [Cell(id=f"c{n}", slide_id="s1", crop_mpp=0.25, origin="imported", added_at=now) for n in range(6)]
    catalog.add(services.database, [slide], cells)
    return services.database


def _answer(database, name: str, **categories: str) -> None:
    events = [LabelEvent(key=f"{name}-{cell}-{c}", cell_id=cell, category=c) for cell, c in categories.items()]
    assert all(receipt.accepted for receipt in record(database, name, events, label_set=BETHESDA, reads=3))


def _decide(database, key: str, cell: str, category: str | None) -> list[bool]:
    event = VerdictEvent(key=key, cell_id=cell, category=category)
    return [r.accepted for r in adjudication.decide(database, "vera", [event], label_set=BETHESDA)]


def test_cases__are_the_cells_with_different_current_answers(database) -> None:
    _answer(database, "ada", c0="NILM", c1="LSIL", c2="HSIL")
    _answer(database, "ben", c0="NILM", c1="HSIL", c2="ASC-H")
    record(database, "ben", [UndoEvent(key="u", label_key="ben-c2-ASC-H")], label_set=BETHESDA)
    (case,) = adjudication.cases(database, include_imported=False)

    assert case.cell_id == "c1"
    assert [(label.annotator, label.category) for label in case.labels] == [("ada", "LSIL"), ("ben", "HSIL")]


def test_cases__the_asked_one_comes_first_with_all_its_labels_though_undisputed(database) -> None:
    _answer(database, "ada", c0="NILM", c1="LSIL", c2="HSIL")
    _answer(database, "ben", c1="HSIL")
    with database.write() as session:
        session.add(Label(key="came", cell_id="c2", annotator=IMPORTED, category="HSIL", made_at=utc_now()))
    found = adjudication.cases(database, include_imported=False, asked="c2")
    assert [case.cell_id for case in found] == ["c2", "c1"]
    assert [label.annotator for label in found[0].labels] == ["ada", IMPORTED]

    unlabelled = adjudication.cases(database, include_imported=False, asked="c5")
    assert [case.cell_id for case in unlabelled] == ["c1"]


def test_decide__resend_stores_once_and_the_newest_counts_until_withdrawn(database) -> None:
    _answer(database, "ada", c1="LSIL")
    _answer(database, "ben", c1="HSIL")
    assert _decide(database, "v1", "c1", "HSIL") == _decide(database, "v1", "c1", "HSIL") == [True]
    assert _decide(database, "v1", "c1", "LSIL") == [False]
    assert _decide(database, "v2", "c1", "ASC-H") == [True]
    (case,) = adjudication.cases(database, include_imported=False)
    assert case.verdict is not None
    assert (case.verdict.category, len(case.verdict.label_ids)) == ("ASC-H", 2)

    assert _decide(database, "v3", "c1", None) == [True]
    assert adjudication.cases(database, include_imported=False)[0].verdict is None


@pytest.mark.parametrize(("cell", "category"), [("nowhere", "HSIL"), ("c1", "no category")])
def test_decide__refuses_with_a_reason(database, cell: str, category: str) -> None:
    event = VerdictEvent(key="v", cell_id=cell, category=category)
    (receipt,) = adjudication.decide(database, "vera", [event], label_set=BETHESDA)

    assert not receipt.accepted
    assert receipt.reason


def test_reference_cells__never_one_that_will_be_asked(database) -> None:
    _answer(database, "ada", c1="HSIL", c3="HSIL")
    _answer(database, "ben", c1="LSIL")
    _decide(database, "v1", "c1", "HSIL")
    shown = {
        name: adjudication.reference_cells(database, name, "HSIL", reads=3, limit=4) for name in ("ada", "ben", "eve")
    }

    assert shown == {"ada": [("c1", "verdict"), ("c3", "your label")], "ben": [("c1", "verdict")], "eve": []}


def test_recent_steps__bulk_labels_are_one_step_and_pages_follow_each_other(database) -> None:
    bulk = [LabelEvent(key=f"k{n}", cell_id=f"c{n}", category="NILM", step="bulk") for n in range(3)]
    single = [LabelEvent(key=f"k{n}", cell_id=f"c{n}", category="LSIL") for n in (3, 4)]
    record(database, "ada", [*bulk, *single], label_set=BETHESDA)
    first = answers.recent_steps(database, "ada", 2)
    older = answers.recent_steps(database, "ada", 2, before=first[-1].id)

    assert [step.id for step in first] == ["k4", "k3"]
    assert [(step.id, len(step.labels)) for step in older] == [("bulk", 3)]


def test_claim_and_give_back__a_colleagues_cells_stay_his(database) -> None:
    offers = [Offer(cell_id=f"c{n}", reason="alike") for n in range(4)]
    options = {"reads": 1, "lease_seconds": 60}
    assert leases.claim(database, "ada", offers, most=3, **options) == ["c0", "c1", "c2"]
    assert leases.claim(database, "ben", offers, most=4, **options) == ["c3"]
    assert leases.give_back(database, "ben", ["c0", "c3"]) == 1
    assert leases.give_back(database, "ada", ["c1"]) == 1

    assert leases.claim(database, "ben", offers, most=4, **options) == ["c1", "c3"]


def test_settled__labelled_cells_are_but_not_the_ones_that_are_asked_again(database) -> None:
    _answer(database, "ada", c0="NILM", c1="NILM")
    record(database, "ada", [UndoEvent(key="u", label_key="ada-c1-NILM")], label_set=BETHESDA)

    assert answers.settled_among(database, "ada", ["c0", "c1", "c2"]) == {"c0"}
