"""Whoever changes the past is found, and the first changed event is named."""

import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from datasets.db import Database
from labeling import accounts, audit
from labeling.verification import check_chain
from tests.studies import database_name, on_built_in, on_server

GUARDS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"


def _tamper(connection: sqlite3.Connection, generator: random.Random) -> int:
    """Change the past in one of many ways; return the number of the first event that is not as it was."""
    events = connection.execute("SELECT seq, body, hash FROM events ORDER BY seq").fetchall()
    place = generator.randrange(len(events))
    body = events[place][1]
    ways = [_alter_body, _alter_hash, _remove, _renumber, _swap, _truncate, _rewrite]
    row = json.loads(body).get("row")
    return generator.choice([*ways, *([_alter_row, _delete_row] if row else [])])(connection, generator, events, place)


def _alter_body(connection, generator, events, place):
    seq, body, _ = events[place]
    at = generator.randrange(len(body))
    letter = chr((ord(body[at]) - 32 + generator.randrange(1, 90)) % 95 + 32)
    connection.execute("UPDATE events SET body = ? WHERE seq = ?", (body[:at] + letter + body[at + 1 :], seq))
    return seq


def _alter_hash(connection, generator, events, place):
    connection.execute("UPDATE events SET hash = ? WHERE seq = ?", (f"{generator.getrandbits(256):064x}", place + 1))
    return place + 1


def _remove(connection, generator, events, place):
    connection.execute("DELETE FROM events WHERE seq = ?", (place + 1,))
    return place + 1


def _renumber(connection, generator, events, place):
    connection.execute("DELETE FROM events WHERE seq = ?", (place + 1,))
    for seq in range(place + 2, len(events) + 1):
        connection.execute("UPDATE events SET seq = ? WHERE seq = ?", (seq - 1, seq))
    return place + 1


def _swap(connection, generator, events, place):
    other = generator.choice([n for n in range(len(events)) if n != place])
    for seq, (_, body, digest) in ((place + 1, events[other]), (other + 1, events[place])):
        connection.execute("UPDATE events SET body = ?, hash = ? WHERE seq = ?", (body, digest, seq))
    return min(place, other) + 1


def _truncate(connection, generator, events, place):
    connection.execute("DELETE FROM events WHERE seq > ?", (place,))
    return place + 1


def _rewrite(connection, generator, events, place):
    """Change one body and compute all hashes from there anew: the chain itself fits again."""
    before = events[place - 1][2] if place else audit.START
    for seq, body, _ in events[place:]:
        text = body.replace('"by":"', '"by":"x', 1) if seq == place + 1 else body
        before = audit.link_hash(before, seq, text)
        connection.execute("UPDATE events SET body = ?, hash = ? WHERE seq = ?", (text, before, seq))
    return place + 1


def _alter_row(connection, generator, events, place):
    content = json.loads(events[place][1])
    column, value = generator.choice([("annotator", "eve"), ("made_at", "2020-01-01T00:00:00.000000+00:00")])
    connection.execute(f"UPDATE {content['kind']} SET {column} = ? WHERE id = ?", (value, content["row"]["id"]))
    return place + 1


def _delete_row(connection, generator, events, place):
    content = json.loads(events[place][1])
    connection.execute(f"DELETE FROM {content['kind']} WHERE id = ?", (content["row"]["id"],))
    return place + 1


def _count_found(home: Path, scratch: Path, tries: int) -> int:
    found = 0
    for seed in range(tries):
        for name in ("catalog.sqlite", audit.ANCHORS_FILE):
            shutil.copy(home / name, scratch / name)
        connection = sqlite3.connect(scratch / "catalog.sqlite", isolation_level=None)
        guards = connection.execute(GUARDS).fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        first = _tamper(connection, random.Random(seed))
        for _, statement in guards:
            connection.execute(statement)
        connection.close()
        database = Database(scratch / "catalog.sqlite")
        report = check_chain(database)
        database.close()
        assert report.first == first, (seed, first, report)
        assert report.problems[0].startswith(f"event {first}:"), (seed, report)
        found += 1
    return found


@pytest.fixture
def closed_study(labelled):
    accounts.add_account(labelled.database, "ada", "annotator", "a long password")
    accounts.set_role(labelled.database, "ada", "adjudicator")
    assert check_chain(labelled.database).problems == ()
    labelled.database.close()
    return labelled.home


@on_built_in
def test_check__forty_random_tamperings_are_all_named(closed_study: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()

    assert _count_found(closed_study, tmp_path / "copy", 40) == 40


@pytest.mark.slow
@pytest.mark.timeout(3600)
@on_built_in
def test_check__thousand_random_tamperings_are_all_named(closed_study: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()

    assert _count_found(closed_study, tmp_path / "copy", 1000) == 1000


def test_check__a_row_that_nobody_told_of(labelled) -> None:
    with labelled.database.write() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO labels (key, cell_id, annotator, category, made_at, suggestion_shown) "
            "VALUES ('x', 'CE-0000000000011', 'eve', 'HSIL', '2026-01-01T00:00:00.000000+00:00', false)"
        )

    assert check_chain(labelled.database).problems == ("row 21 of labels has no event.",)


@on_built_in
def test_check__a_guard_that_was_taken_away(labelled) -> None:
    with labelled.database.write() as session:
        session.connection().exec_driver_sql("DROP TRIGGER labels_no_update")

    assert check_chain(labelled.database).problems == ("the guard labels_no_update of the database was taken away.",)


@on_server
@pytest.mark.parametrize(
    ("statement", "first"),
    [
        ("UPDATE events SET body = replace(body, 'HSIL', 'NILM') WHERE seq = 2", 2),
        ("DELETE FROM events WHERE seq = 7", 7),
        ("DELETE FROM events WHERE seq > 20", 21),
        ("UPDATE events SET seq = 100 WHERE seq = 5", 5),
        ("UPDATE labels SET category = 'SCC' WHERE id = 4", 4),
        ("UPDATE labels SET seconds = seconds + 1 WHERE id = 3", 3),
        ("DELETE FROM undos WHERE id = 1", 11),
    ],
)
def test_check__what_the_owner_of_a_server_changes_is_named(labelled, server, statement: str, first: int) -> None:
    with server.admin(database_name(labelled.home)) as connection:
        connection.execute("SET session_replication_role = replica")  # what silences triggers
        assert connection.execute(statement).rowcount > 0
    report = check_chain(labelled.database)

    assert report.first == first, report
    assert report.problems[0].startswith(f"event {first}:")


@on_server
def test_check__a_guard_of_a_server_that_was_switched_off(labelled, server) -> None:
    with server.admin(database_name(labelled.home)) as connection:
        connection.execute("ALTER TABLE labels DISABLE TRIGGER labels_no_update")

    assert check_chain(labelled.database).problems == ("the guard labels_no_update of the database was taken away.",)


@on_built_in
def test_check__anchors_kept_elsewhere_find_what_the_own_ones_cannot(labelled, tmp_path) -> None:
    kept = tmp_path / "printed.txt"
    kept.write_text(audit.anchors_path(labelled.home).read_text())
    lines = kept.read_text().splitlines(keepends=True)
    with labelled.database.write() as session:
        connection = session.connection()
        for statement in ("DROP TRIGGER events_no_delete", "DROP TRIGGER undos_no_delete",
                          "DELETE FROM events WHERE seq > 21", "DELETE FROM undos WHERE id > 1"):  # fmt: skip
            connection.exec_driver_sql(statement)
        for table in ("events", "undos"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
    audit.anchors_path(labelled.home).write_text("".join(lines[:21]))

    assert check_chain(labelled.database).problems == ()
    assert check_chain(labelled.database, [kept]).first == 22


def test_anchors__half_a_line_of_a_power_cut_says_nothing(labelled) -> None:
    path = audit.anchors_path(labelled.home)
    path.write_text(path.read_text() + "23 ab")

    assert check_chain(labelled.database).problems == ()
    audit.anchor_missing(labelled.database)
    assert audit.last_anchor(path) == 22


@pytest.mark.parametrize("half", ["", "2", "22 ", "22 0123abc"])
def test_anchors__after_half_a_line_of_a_full_disk_the_next_ones_stand_alone(labelled, half: str) -> None:
    """Else `verify` would find fault for ever, and no backup from then on could be restored."""
    path = audit.anchors_path(labelled.home)
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:-1]) + half)
    accounts.add_account(labelled.database, "after", "annotator", "a long password")

    report = check_chain(labelled.database)
    assert (report.events, report.problems, audit.last_anchor(path)) == (23, (), 23)
    path.write_text(path.read_text().replace(whole[3][-20:-1], "0" * 19))
    assert check_chain(labelled.database).first == 4


def test_anchors__lost_ones_are_written_again(labelled) -> None:
    path = audit.anchors_path(labelled.home)
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:5]))
    audit.anchor_missing(labelled.database)

    assert path.read_text() == whole
