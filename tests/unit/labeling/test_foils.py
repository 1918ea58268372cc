"""Known cells in a sweep: a careless sweep is counted, and its labels say nothing about the cells."""

import random

import pytest

from datasets.bethesda import BETHESDA
from labeling import adjudication, foils, leases
from labeling.adjudication import VerdictEvent
from labeling.answers import current_labels
from labeling.evidence import gather
from labeling.foils import Care
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.leases import Offer


@pytest.fixture
def known(services, cells):
    """The study with three cells that are known to be HSIL."""
    events = [VerdictEvent(key=f"v{c}", cell_id=c, category="HSIL") for c in cells[:3]]
    assert all(r.accepted for r in adjudication.decide(services.database, "vera", events, label_set=BETHESDA))
    return services


def _lend(services, who: str, chosen: list[str]) -> list[str]:
    offers = [Offer(cell_id=c, reason="not used") for c in chosen]
    return foils.lend(services.database, who, offers, most=10, lease_seconds=600)


def _sweep(services, who: str, answers: dict[str, str], step: str | None = "s") -> dict[str, bool]:
    events = [LabelEvent(key=f"{who}{c}", cell_id=c, category=a, step=step) for c, a in answers.items()]
    assert all(r.accepted for r in record(services.database, who, events, label_set=BETHESDA))
    return foils.missed(services.database, [e.key for e in events], BETHESDA)


def test_careless_sweep__is_counted_and_each_foil_told(known, cells) -> None:
    assert _lend(known, "ada", cells[:2]) == cells[:2]
    told = _sweep(known, "ada", {cells[0]: "NILM", cells[1]: "HSIL", cells[5]: "NILM"})

    assert told == {f"ada{cells[0]}": True, f"ada{cells[1]}": False}
    assert foils.care(known.database, BETHESDA) == {"ada": Care(noticed=1, missed=1)}


@pytest.mark.parametrize(("answer", "step"), [("squamous-abnormal", "s"), ("LSIL", None)])
def test_judgement__is_no_careless_sweep(known, cells, answer: str, step: str | None) -> None:
    _lend(known, "ada", cells[:1])

    assert _sweep(known, "ada", {cells[0]: answer}, step) == {f"ada{cells[0]}": False}


def test_correction_after_being_told__does_not_change_the_count(known, cells) -> None:
    _lend(known, "ada", cells[:1])
    _sweep(known, "ada", {cells[0]: "NILM"})
    again = [UndoEvent(key="u", label_key=f"ada{cells[0]}"), LabelEvent(key="k2", cell_id=cells[0], category="HSIL")]
    assert all(r.accepted for r in record(known.database, "ada", again, label_set=BETHESDA))

    assert foils.care(known.database, BETHESDA) == {"ada": Care(noticed=0, missed=1)}


def test_label_of_a_foil__trains_nothing_and_closes_the_cell_for_nobody(known, cells) -> None:
    _lend(known, "ada", cells[:1])
    _sweep(known, "ada", {cells[0]: "NILM"})
    with known.database.read() as session:
        assert current_labels(session) == []
    assert gather(known.database, BETHESDA, reads=1).shares == {}
    offer = Offer(cell_id=cells[0], reason="unclear")

    for who in ("ben", "ada"):
        assert leases.claim(known.database, who, [offer], most=1, reads=1, lease_seconds=600) == [cells[0]]
        leases.give_back(known.database, who, [cells[0]])


def test_foil_on_loan__keeps_nobody_from_the_cell_and_never_shows_up_elsewhere(known, cells) -> None:
    _lend(known, "ada", cells[:1])
    offer = Offer(cell_id=cells[0], reason="unclear")
    assert leases.claim(known.database, "ben", [offer], most=1, reads=1, lease_seconds=600) == [cells[0]]
    items = leases.take(known.database, "ada", 50, reads=1, lease_seconds=600)

    assert cells[0] not in {item.cell_id for item in items}


def test_cell_that_he_has_answered__is_no_foil_for_him(known, cells) -> None:
    event = LabelEvent(key="k", cell_id=cells[0], category="NILM")
    assert record(known.database, "ada", [event], label_set=BETHESDA)[0].accepted

    assert _lend(known, "ada", cells[:3]) == cells[1:3]


def test_candidates__are_known_as_another_class_and_suggested_as_the_page_says() -> None:
    truth = {"a": "HSIL", "b": "NILM", "c": "LSIL", "d": "cannot-tell"}
    blind = foils.candidates(truth, "NILM", BETHESDA, suggested=None)
    shown = foils.candidates(truth, "NILM", BETHESDA, suggested={"a": "HSIL", "c": "NILM"})

    assert (blind, shown) == (["a", "c"], ["c"])


def test_number_of_foils__is_their_share_on_average() -> None:
    draw = random.Random(0)
    counts = [foils.how_many(120, 3, draw) for _ in range(2000)]

    assert set(counts) == {3, 4}
    assert sum(counts) / 2000 == pytest.approx(3.6, abs=0.05)
