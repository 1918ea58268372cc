"""The database profile: what was measured to be safe is what is set."""

import threading
import traceback
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from app.services import Services
from datasets import catalog
from datasets.catalog import Slide
from datasets.db import Database
from datasets.errors import DatabaseError
from tests.studies import database_name, on_both, on_server


@on_both
def test_errors__do_not_repeat_what_was_to_be_stored(services: Services) -> None:
    """An error ends in the server's log: no hashes, no comments."""
    statement, name = text("INSERT INTO slides (id) VALUES (:id)"), "^".join(["DOE", "JANE"])
    with pytest.raises(IntegrityError) as refused, services.database.write() as session:
        session.execute(statement, {"id": name})

    assert name not in "".join(traceback.format_exception(refused.value))


def _slide(slide_id: str, added_at: datetime | None = None) -> Slide:
    return Slide(id=slide_id, kind="field", sha256=None, width_px=1, height_px=1, mpp=None,
                 mpp_source="unknown", added_at=added_at or datetime.now(UTC))  # fmt: skip


def test_profile__built_in_has_wal_full_foreign_keys(tmp_path) -> None:
    database = Database(tmp_path / "c.sqlite")
    with database.read() as session:
        found = {
            p: session.execute(text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "synchronous", "foreign_keys")
        }
    database.close()

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@on_both
def test_write__exception_leaves_nothing(services) -> None:
    def fail() -> None:
        with services.database.write() as session:
            session.add(_slide("SL-1"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert catalog.counts(services.database).slides == 0


@on_both
def test_write__threads_take_turns(services) -> None:
    def add_ten(start: int) -> None:
        for number in range(start, start + 10):
            with services.database.write() as session:
                count = session.scalar(select(func.count()).select_from(Slide))
                session.add(_slide(f"SL-{number}-{count}"))

    threads = [threading.Thread(target=add_ten, args=(100 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = sorted(int(i.rsplit("-", 1)[1]) for i in catalog.slide_ids(services.database))

    assert counts == list(range(80))


@on_both
def test_time__comes_back_in_utc_and_naive_is_refused(services) -> None:
    moment = datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    catalog.add(services.database, [_slide("SL-1", moment)], [])

    assert catalog.fields(services.database)[0].added_at == datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    with pytest.raises(Exception, match="no time zone"):
        catalog.add(services.database, [_slide("SL-2", datetime(2026, 1, 1))], [])  # noqa: DTZ001


def test_open__another_version_is_refused(tmp_path) -> None:
    database = Database(tmp_path / "c.sqlite")
    with database.write() as session:
        session.execute(text("PRAGMA user_version = 99"))
    database.close()

    with pytest.raises(DatabaseError, match="version 99"):
        Database(tmp_path / "c.sqlite")


def test_open__not_a_database_is_refused(tmp_path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"no database at all" * 100)

    with pytest.raises(DatabaseError, match="not a usable database"):
        Database(tmp_path / "c.sqlite")


@on_both
def test_alone__a_job_is_held_by_one_and_goes_on_to_the_next(services) -> None:
    other = Services.open(services.home).database
    with services.database.alone("refit") as mine, other.alone("refit") as theirs, other.alone("else") as another:
        assert (mine is not None, theirs is None, another is not None) == (True, True, True)
        assert mine()
    with other.alone("refit") as theirs:
        assert theirs is not None
    other.close()


@on_server
def test_alone__a_cut_connection_has_lost_the_job(services, server) -> None:
    with services.database.alone("refit") as mine:
        server.cut(database_name(services.home))
        with Services.open(services.home).database.alone("refit") as theirs:
            assert (mine(), theirs is not None) == (False, True)
