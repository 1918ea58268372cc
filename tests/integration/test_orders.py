"""A study's order of work: what comes first comes first, check cells stay chance's, and nothing tells a suggestion."""

from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.cli import cytojepa
from app.refit import refit_study
from labeling import leases, orders
from labeling.errors import OrderRefused
from labeling.evidence import gather
from labeling.labels import LabelEvent, record
from labeling.mixture import BLIND, CHECK_REASON, RANDOM, SECOND, Shares
from labeling.openings import Focus
from labeling.orders import Order
from labeling.records import Assignment, Candidate, Event
from labeling.worklist import peek
from tests.builders import label_vector_study, vector_study

LABELLED = [f"CE{n:05d}" for n in range(0, 400, 3)]


@pytest.fixture
def study(services):
    vector_study(services)
    assert label_vector_study(services) == LABELLED
    return services


NO_ORDER = Order()


def _queue(study, order: Order = NO_ORDER) -> list[Candidate]:
    orders.give(study.database, order, by="max", label_set=study.label_set)
    refit_study(study)
    with study.database.read() as session:
        return list(session.scalars(select(Candidate).order_by(Candidate.rank)))


def _slide(cell: str) -> str:
    return f"SL{int(cell[2:]) // 20}"


def test_first_slides__lead_and_the_control_arm_stays_as_it_was(study) -> None:
    before = _queue(study)
    after = _queue(study, Order(first_slides=("SL3", "SL4")))
    led = [row for row in after if row.arm == "uncertain"]
    control = {arm: [[row.cell_id for row in rows if row.arm == arm] for rows in (before, after)]
               for arm in ("random", "shared")}  # fmt: skip

    assert {_slide(row.cell_id) for row in led[:10]} == {"SL3", "SL4"}
    assert {row.reason for row in led[:10]} == {"its slide comes first in this study"}
    assert {_slide(row.cell_id) for row in led} > {"SL3", "SL4"}
    assert all(first == second for first, second in control.values())


def test_first_class__gets_half_of_the_uncertain_places_and_no_sentence_tells_which(study) -> None:
    def hsil(rows: list[Candidate]) -> float:
        return float(np.mean([row.suggestion == "HSIL" for row in rows if row.arm == "uncertain"][:30]))

    before, after = _queue(study), _queue(study, Order(first_classes=("HSIL",)))
    rows = [row for row in after if row.arm == "uncertain"][:30]

    assert hsil(before) < 0.45 <= hsil(after)
    assert any(row.suggestion != "HSIL" for row in rows)
    assert len({row.reason for row in rows}) == 1


def test_only_slides__bind_the_queue_the_rest_of_the_pool_and_a_doctors_own_choice(study) -> None:
    queue = _queue(study, Order(only_slides=("SL5", "SL6")))
    everything = leases.take(study.database, "ben", 100, reads=1, lease_seconds=600, shares=Shares())
    none = peek(study.database, "eva", 10, reads=1, focus=Focus(slides=("SL7",)))

    assert {_slide(row.cell_id) for row in queue} == {"SL5", "SL6"}
    assert {_slide(item.cell_id) for item in everything} == {"SL5", "SL6"}
    assert len(everything) == 27
    assert none == []


def test_second_reads__come_in_turn_blind_to_another_doctor_and_are_no_sample_of_chance(study) -> None:
    queue = _queue(study, Order(second_reads_of=("ada",)))
    seconds = {row.cell_id for row in queue if row.arm == SECOND}
    items = leases.take(study.database, "ben", 20, reads=1, lease_seconds=600)
    again = [item for item in items if item.cell_id in seconds]
    own = leases.take(study.database, "ada", 20, reads=1, lease_seconds=600)
    events = [LabelEvent(key=f"b{item.cell_id}", cell_id=item.cell_id, category="NILM") for item in again]
    record(study.database, "ben", events, label_set=study.label_set)
    evidence = gather(study.database, study.label_set, reads=1)
    with study.database.read() as session:
        arms = Counter(session.scalars(select(Assignment.arm).where(Assignment.annotator == "ben")))

    assert seconds == set(LABELLED)
    assert 8 <= len(again) <= 12
    assert all(not item.may_show and item.reason == CHECK_REASON for item in again)
    assert arms[SECOND] == len(again)
    assert not seconds & {item.cell_id for item in own}
    assert {item.cell_id for item in again} <= evidence.finished
    assert not {item.cell_id for item in again} & evidence.random


def test_second_reader__gets_the_cells_of_one_doctor_blind_and_nobody_else_does(study) -> None:
    order = Order(second_reads_of=("ada",), second_readers=("ben",))
    orders.give(study.database, order, by="max", label_set=study.label_set, doctors=("ada", "ben"))
    refit_study(study)
    taken = {
        name: [item for item in leases.take(study.database, name, 40, reads=1, lease_seconds=600, shares=Shares())
               if item.cell_id in LABELLED]
        for name in ("eva", "ben", "ada")
    }  # fmt: skip
    shown = peek(study.database, "eva", 40, reads=1)

    assert (taken["eva"], taken["ada"]) == ([], [])
    assert len(taken["ben"]) >= 16
    assert {(item.reason, item.may_show) for item in taken["ben"]} == {(CHECK_REASON, False)}
    assert not {item.cell_id for item in shown} & set(LABELLED)


def test_second_reader__nobody_and_the_doctor_himself_are_refused(study) -> None:
    for order, sentence in (
        (Order(second_reads_of=("ada",), second_readers=("otto",)), "account that may label"),
        (Order(second_readers=("ben",)), "of whose cells"),
        (Order(second_reads_of=("ada",), second_readers=("ada",)), "his own cells"),
    ):
        with pytest.raises(OrderRefused, match=sentence):
            orders.give(study.database, order, by="max", label_set=study.label_set, doctors=("ada", "ben"))


def test_suggested__leaves_check_cells_where_they_are(study) -> None:
    queue = {row.cell_id: row for row in _queue(study)}
    items = leases.take(study.database, "ben", 200, reads=1, lease_seconds=600, focus=Focus(suggested=("HSIL",)))

    assert {queue[item.cell_id].suggestion for item in items} == {"HSIL"}
    assert not {queue[item.cell_id].arm for item in items} & BLIND
    assert any(row.arm == RANDOM and row.suggestion == "HSIL" for row in queue.values())


def test_order__what_the_study_does_not_know_is_refused(study) -> None:
    for order, word in (
        (Order(first_slides=("SL99",)), "SL99"), (Order(first_classes=("cannot-tell",)), "category"),
        (Order(second_reads_of=("zoe",)), "annotator"),
    ):  # fmt: skip
        with pytest.raises(OrderRefused, match=word):
            orders.give(study.database, order, by="max", label_set=study.label_set)

    assert orders.read(study.database) == Order()


def test_command__sets_shows_and_clears_the_order_and_the_chain_tells_it(study) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(cytojepa, ["order", *words, "--home", str(study.home)])
        assert result.exit_code == 0, result.output
        return result.output

    assert "cells of the slides SL1" in run("--first-slide", "SL1")
    assert "SL1" in run()
    assert run("--clear") == "as the rules find it\n"
    with study.database.read() as session:
        told = [body for body in session.scalars(select(Event.body)) if "order of work changed" in body]
    assert len(told) == 2
