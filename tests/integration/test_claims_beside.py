"""With PostgreSQL doctors are handed cells side by side: nobody waits, and no cell goes to one too many."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from datasets import catalog
from datasets.bethesda import BETHESDA
from datasets.catalog import Cell, Slide
from datasets.db import Database, utc_now
from labeling import claims, leases
from labeling.claims import Claims
from labeling.labels import LabelEvent, record
from labeling.mixture import UNCERTAIN
from labeling.records import Assignment, Candidate, Lease
from labeling.worklist import publish
from tests.studies import on_server
from tests.waiting import PATIENCE_SECONDS, until

CELLS = [f"CE{n:02d}" for n in range(8)]


@pytest.fixture
def database(services) -> Database:
    opened: Database = services.database
    now = utc_now()
    slide = Slide(id="SL0", kind="cells", mpp=0.25, mpp_source="given", added_at=now)
    catalog.add(opened, [slide], [Cell(id=i, slide_id="SL0", origin="imported", added_at=now) for i in CELLS])
    return opened


@pytest.fixture
def others():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def _take(database: Database, doctor: str, limit: int = 2, reads: int = 1) -> list[str]:
    return [item.cell_id for item in leases.take(database, doctor, limit, reads=reads, lease_seconds=600)]


def _told(future: Future) -> object:
    return future.result(timeout=PATIENCE_SECONDS)


def _is_waiting(database: Database) -> bool:
    with database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


@contextmanager
def _in_the_middle(monkeypatch, pool: ThreadPoolExecutor, doctor: str, ask: Callable[[], list[str]]):
    """A doctor has claimed and not yet committed, as long as the block lasts; yields what he will be told."""
    inside, may_end, take = threading.Event(), threading.Event(), Claims.take

    def slowly(self: Claims, *arguments: object) -> int:
        got = take(self, *arguments)
        if self.ask.annotator == doctor and not inside.is_set():
            inside.set()
            assert may_end.wait(PATIENCE_SECONDS)
        return got

    monkeypatch.setattr(Claims, "take", slowly)
    told = pool.submit(ask)
    assert inside.wait(PATIENCE_SECONDS)
    try:
        yield told
    finally:
        may_end.set()


def _holders(database: Database) -> Counter[str]:
    with database.read() as session:
        return Counter(session.scalars(select(Lease.cell_id)))


@on_server
def test_take__waits_for_no_other_doctor_and_no_writer(database: Database, monkeypatch, others) -> None:
    with _in_the_middle(monkeypatch, others, "ada", lambda: _take(database, "ada")) as ada, database.write():
        ben, cem = _told(others.submit(_take, database, "ben")), _told(others.submit(_take, database, "cem"))
        assert not ada.done()

    assert [_told(ada), ben, cem] == [CELLS[:2], CELLS[2:4], CELLS[4:6]]


@on_server
def test_take__keeps_nobody_from_storing_an_answer(database: Database, monkeypatch, others) -> None:
    event = LabelEvent(key="k", cell_id=CELLS[0], category="HSIL")  # ada is just getting this very cell
    with _in_the_middle(monkeypatch, others, "ada", lambda: _take(database, "ada")):
        stored = others.submit(record, database, "ben", [event], label_set=BETHESDA)
        assert _told(stored)[0].accepted


@on_server
def test_take__who_finds_only_what_another_is_taking_waits_for_him(database: Database, monkeypatch, others) -> None:
    _take(database, "eve", 7)
    with _in_the_middle(monkeypatch, others, "ada", lambda: _take(database, "ada")) as ada:
        ben = others.submit(_take, database, "ben")
        until(lambda: ben.done() or _is_waiting(database))
        assert not ben.done()

    assert (_told(ada), _told(ben)) == (CELLS[7:], [])


@on_server
def test_take__the_last_cell_that_needs_two_gets_both(database: Database, monkeypatch, others) -> None:
    _take(database, "eve", 7)
    _take(database, "eli", 7, reads=2)
    with _in_the_middle(monkeypatch, others, "ada", lambda: _take(database, "ada", 1, reads=2)) as ada:
        ben = others.submit(_take, database, "ben", 1, 2)
        until(lambda: ben.done() or _is_waiting(database))

    assert (_told(ada), _told(ben)) == (CELLS[7:], CELLS[7:])


@on_server
@pytest.mark.parametrize("first", ["ada", "ben"])
def test_take__a_lease_that_runs_out_while_it_is_renewed_has_one_holder(
    database: Database, monkeypatch, others, first: str
) -> None:
    """By ada's clock it still holds, by ben's it has run out; whoever comes first has the cells."""
    _take(database, "ada")
    clock = threading.local()
    monkeypatch.setattr(leases, "utc_now", lambda: utc_now() + getattr(clock, "ahead", timedelta()))

    def late(doctor: str) -> list[str]:
        clock.ahead = timedelta(hours=1) if doctor == "ben" else timedelta()
        return _take(database, doctor)

    second = "ben" if first == "ada" else "ada"
    with _in_the_middle(monkeypatch, others, first, lambda: late(first)) as one:
        other = others.submit(late, second)
        until(lambda: other.done() or _is_waiting(database))

    assert _told(one) == CELLS[:2]
    assert not set(_told(other)) & set(CELLS[:2])
    assert set(_holders(database).values()) == {1}


@on_server
def test_take__two_windows_of_one_doctor_take_turns(database: Database, monkeypatch, others) -> None:
    with _in_the_middle(monkeypatch, others, "ada", lambda: _take(database, "ada", 3)) as one:
        other = others.submit(_take, database, "ada", 3)
        until(lambda: other.done() or _is_waiting(database))

    assert _told(one) == _told(other) == CELLS[:3]
    assert set(_holders(database)) == set(CELLS[:3])


@on_server
def test_publish__does_not_change_the_list_under_a_claim(database: Database, monkeypatch, others) -> None:
    """The claim reads the list twice: for the cell, and for the ground that is noted."""

    def listed(arm: str, cells: list[str]) -> None:
        with database.write() as session:
            publish(session, [Candidate(rank=n, cell_id=i, arm=arm, reads=1, reason="r", score=1.0)
                              for n, i in enumerate(cells)])  # fmt: skip

    listed(UNCERTAIN, CELLS[:4])
    note, publishing = claims._note, []

    def while_a_fit_ends(*, is_ranked: bool) -> object:
        publishing.append(others.submit(listed, "other", CELLS[4:]))
        until(lambda: publishing[0].done() or _is_waiting(database))
        return note(is_ranked=is_ranked)

    monkeypatch.setattr(claims, "_note", while_a_fit_ends)
    took = _take(database, "ada")
    _told(publishing[0])
    with database.read() as session:
        noted = dict(session.execute(select(Assignment.cell_id, Assignment.arm)).all())

    assert noted == dict.fromkeys(took, UNCERTAIN)
