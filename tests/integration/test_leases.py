"""Many doctors at once: nobody's cell twice, shared cells exactly twice, repeats and known cells in their share."""

import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from datasets import catalog
from datasets.bethesda import BETHESDA
from datasets.catalog import Cell, Slide
from datasets.db import Database, utc_now
from labeling import leases
from labeling.answers import turns, turns_of
from labeling.claims import Ask
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.mixture import CHECK_REASON, GOLD, REPEAT, SHARED, UNCERTAIN, Shares
from labeling.openings import Focus
from labeling.records import Assignment, Candidate, Label, Lease, Verdict
from labeling.worklist import peek, publish
from tests.studies import KINDS, home_of_kind

CELLS, SHARED_CELLS = 480, 48


@pytest.fixture(params=KINDS)
def new_home(request, tmp_path: Path, monkeypatch):
    yield from home_of_kind(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def database(services):
    opened: Database = services.database
    now = utc_now()
    slides = [Slide(id=f"SL{n}", kind="cells", mpp=0.25, mpp_source="given", added_at=now) for n in range(2)]
    cells = [Cell(id=f"CE{n:05d}", slide_id=f"SL{n % 2}", origin="imported", added_at=now) for n in range(CELLS)]
    catalog.add(opened, slides, cells)
    return opened


def _publish(database: Database) -> None:
    rows = [
        Candidate(rank=n, cell_id=f"CE{n:05d}", arm=SHARED if n % 10 == 0 else UNCERTAIN, reads=2 if n % 10 == 0 else 1,
                  reason=CHECK_REASON if n % 10 == 0 else "NILM or LSIL is unclear", score=1 / (n + 1),
                  suggestion="NILM", suggestion_probability=0.5, probe_id=None)
        for n in range(CELLS)
    ]  # fmt: skip
    with database.write() as session:
        publish(session, rows)


def _take(database: Database, doctor: str, limit: int = 8, **options: object) -> list[leases.WorkItem]:
    return leases.take(database, doctor, limit, reads=1, lease_seconds=600, **options)


def _answer(database: Database, doctor: str, items: list[leases.WorkItem], key: str, shown: bool = False) -> None:
    events = [LabelEvent(key=f"{doctor}-{key}-{item.cell_id}", cell_id=item.cell_id, category="NILM") for item in items]
    receipts = record(database, doctor, events, label_set=BETHESDA, shown=shown)

    assert all(receipt.accepted for receipt in receipts)


@pytest.mark.parametrize("doctors", [8, 16])
def test_take__many_doctors_at_once_share_only_what_is_shared(database: Database, doctors: int) -> None:
    _publish(database)
    failures: list[BaseException] = []
    start = threading.Barrier(doctors)

    def work(name: str) -> None:
        try:
            start.wait()
            for turn in range(1000):
                items = _take(database, name)
                if not items:
                    return
                _answer(database, name, items, str(turn))
        except BaseException as error:  # noqa: BLE001  (a thread's failure must fail the test)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"dr{n}",)) for n in range(doctors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        readers = Counter(session.scalars(select(Label.cell_id)))
        assignments = Counter(session.scalars(select(Assignment.cell_id)))

    assert failures == []
    assert {cell: n for cell, n in readers.items() if n != 1} == {f"CE{n:05d}": 2 for n in range(0, CELLS, 10)}
    assert len(readers) == CELLS
    assert assignments == readers


def test_take__a_blind_cell_hides_its_suggestion_but_keeps_it(database: Database) -> None:
    _publish(database)
    shared, plain = _take(database, "ada", 2)
    _answer(database, "ada", [shared, plain], "k", shown=True)
    with database.read() as session:
        labels = {row.cell_id: row for row in session.scalars(select(Label))}

    assert (shared.may_show, plain.may_show) == (False, True)
    assert (labels[shared.cell_id].suggestion, labels[shared.cell_id].suggestion_shown) == ("NILM", False)
    assert (labels[plain.cell_id].suggestion, labels[plain.cell_id].suggestion_shown) == ("NILM", True)


def _old_labels(database: Database, doctor: str, count: int) -> None:
    long_ago = utc_now() - timedelta(days=2)
    with database.write() as session:
        session.add_all(
            Label(key=f"old{n}", cell_id=f"CE{CELLS - 1 - n:05d}", annotator=doctor, category="LSIL", made_at=long_ago)
            for n in range(count)
        )


def test_take__own_cells_come_back_in_their_share_once_and_look_like_any_other(database: Database) -> None:
    _publish(database)
    _old_labels(database, "ada", 130)
    items = []
    for turn in range(20):
        batch = _take(database, "ada", 10, shares=Shares())
        items += batch
        _answer(database, "ada", batch, str(turn))
    with database.read() as session:
        repeats = session.scalars(select(Assignment.cell_id).where(Assignment.arm == REPEAT)).all()
    old = {f"CE{CELLS - 1 - n:05d}" for n in range(130)}

    assert len(repeats) == len(set(repeats)) == 10
    assert set(repeats) <= old
    shown = [item for item in items if item.cell_id in repeats]
    assert {(item.reason, item.suggestion) for item in shown} == {(CHECK_REASON, None)}
    places = [place % 10 for place, item in enumerate(items) if item.cell_id in repeats]
    assert len(set(places)) > 2
    single = {cell for cell in repeats if int(cell[2:]) % 10}
    assert not {item.cell_id for item in _take(database, "ben", 300, shares=Shares())} & single


def test_turns__a_cell_that_comes_again_lies_otherwise_and_no_turn_tells_which(database: Database) -> None:
    _publish(database)
    cells = [f"CE{n:05d}" for n in range(CELLS)]
    first, colleague = turns(database, "ada", cells), turns(database, "ben", cells)
    _answer(database, "ada", _take(database, "ada", 20), "first")
    with database.read() as session:
        answered = set(session.scalars(select(Label.cell_id)))
    again = turns(database, "ada", cells)

    assert len(answered) == 20
    assert {cell for cell in cells if again[cell] != first[cell]} == answered
    assert turns(database, "ben", cells) == colleague != first
    for found in ([again[cell] for cell in answered], list(first.values())):
        assert set(found) == {0, 1, 2, 3}


def test_turns_of_labels__are_those_at_which_their_cells_lay_and_what_is_taken_back_does_not_count(
    database: Database,
) -> None:
    _publish(database)
    items = _take(database, "ada", 4)
    cells = [item.cell_id for item in items]
    lay = [turns(database, "ada", cells)]
    for key in ("first", "second"):
        _answer(database, "ada", items, key)
        lay.append(turns(database, "ada", cells))
    with database.read() as session:
        labels = list(session.scalars(select(Label).order_by(Label.id)))
    found = turns_of(database, "ada", labels)

    assert [found[label.id] for label in labels] == [lay["second" in label.key][label.cell_id] for label in labels]
    assert all(lay[0][cell] != lay[1][cell] != lay[2][cell] for cell in cells)

    undos = [UndoEvent(key=f"undo-{label.key}", label_key=label.key) for label in labels[len(cells) :]]
    record(database, "ada", undos, label_set=BETHESDA)

    assert turns(database, "ada", cells) == lay[1]


def test_take__no_repeat_before_its_time(database: Database) -> None:
    _publish(database)
    for turn in range(20):
        _answer(database, "ada", _take(database, "ada", 10, shares=Shares()), str(turn))
    with database.read() as session:
        assert session.scalars(select(Assignment).where(Assignment.arm == REPEAT)).all() == []


def test_take__cells_with_a_verdict_reach_the_others_in_their_share(database: Database) -> None:
    _publish(database)
    decided = [f"CE{CELLS - 1 - n:05d}" for n in range(6)]
    with database.write() as session:
        session.add_all(
            Verdict(key=f"v{n}", cell_id=cell, adjudicator="eve", category=None if n == 5 else "HSIL", label_ids=[],
                    made_at=utc_now())
            for n, cell in enumerate(decided)
        )  # fmt: skip
    for turn in range(4):
        _answer(database, "ada", _take(database, "ada", 10, shares=Shares()), f"a{turn}")
    with database.read() as session:
        served = set(session.scalars(select(Assignment.cell_id).where(Assignment.arm == GOLD)))

    assert len(served) == 2
    assert served < set(decided[:5])
    _take(database, "eve", 40, shares=Shares())
    with database.read() as session:
        assert not session.scalars(
            select(Assignment).where(Assignment.arm == GOLD, Assignment.annotator == "eve")
        ).all()


@pytest.mark.parametrize(("others", "mine"), [(8, 8), (100, 8), (475, 5)])
def test_take__others_come_first_to_what_was_seen(database: Database, monkeypatch, others: int, mine: int) -> None:
    """Between the look and the turn to write somebody else leases the same cells."""
    look = Ask.look

    def and_then_others(ask: Ask, *arguments: object) -> object:
        seen = look(ask, *arguments)
        if ask.annotator == "ada":
            assert len(_take(database, "ben", others)) == others
        return seen

    monkeypatch.setattr(Ask, "look", and_then_others)
    items = _take(database, "ada")
    with database.read() as session:
        leased = Counter(session.scalars(select(Lease.cell_id)))

    assert len(items) == mine
    assert set(leased.values()) == {1}


def test_take__cells_whose_lease_ran_out_are_found_again(database: Database) -> None:
    _publish(database)
    first = [item.cell_id for item in leases.take(database, "ada", 8, reads=1, lease_seconds=-1)]

    assert [item.cell_id for item in _take(database, "ada")] == first


def test_take__a_doctor_may_work_on_one_slide(database: Database) -> None:
    _publish(database)
    focus = Focus(slides=("SL1",))
    ahead = [item.cell_id for item in peek(database, "ada", 5, reads=1, focus=focus)]
    items = _take(database, "ada", 5, focus=focus)
    nothing = peek(database, "ada", 5, reads=1, focus=Focus(suggested=("SCC",)))

    assert [item.cell_id for item in items] == ahead == [f"CE{n:05d}" for n in (1, 3, 5, 7, 9)]
    assert nothing == []
    assert len(peek(database, "ben", 5, reads=1, focus=Focus(suggested=("NILM",)))) == 5
    assert len(_take(database, "ben", 400, focus=focus)) == CELLS // 2 - 5
