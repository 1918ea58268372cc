"""Guessing gets slower, for all server processes of a study alike."""

from datetime import timedelta

from sqlalchemy import func, select, update

from labeling.accounts import FailureBrake
from labeling.records import SignInFailure


def _age(database, seconds: float) -> None:
    with database.write() as session:
        last = session.scalars(select(SignInFailure)).one()
        session.execute(update(SignInFailure).values(last_at=last.last_at - timedelta(seconds=seconds)))


def test_brake__five_failures_are_free_then_each_doubles_the_wait(services) -> None:
    one, other = FailureBrake(services.database), FailureBrake(services.database)
    waits = []
    for number in range(8):
        (one, other)[number % 2].note("ada", succeeded=False)
        waits.append(round(other.wait_seconds("ada")))

    assert waits == [0, 0, 0, 0, 2, 4, 8, 16]
    assert one.wait_seconds("ben") == 0
    _age(services.database, 10)
    assert 5 < other.wait_seconds("ada") < 6.1
    _age(services.database, -1000)  # a clock that was set back
    assert other.wait_seconds("ada") == 16


def test_brake__a_success_forgets_and_so_does_an_hour(services) -> None:
    brake = FailureBrake(services.database)
    for _ in range(6):
        brake.note("ada", succeeded=False)
    brake.note("ada", succeeded=True)
    assert brake.wait_seconds("ada") == 0

    brake.note("ben", succeeded=False)
    _age(services.database, 3700)
    brake.note("eve", succeeded=False)
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(SignInFailure)) == 1


def test_brake__no_name_is_stored(services) -> None:
    FailureBrake(services.database).note("my password", succeeded=False)
    with services.database.read() as session:
        assert "my password" not in repr(session.execute(select(SignInFailure.__table__)).all())
