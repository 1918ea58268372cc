"""The Export page has a word for everything that it offers."""

from datetime import UTC, date, datetime
from typing import get_args

from app.exports import AGREEMENT_WORDS, FORMAT_WORDS, KIND_WORDS, moments_of
from labeling.export import FORMATS
from labeling.export.agreed import AGREEMENTS
from labeling.export.rows import Kind


def test_words__are_there_for_every_kind_of_row_and_format() -> None:
    assert set(KIND_WORDS) == set(get_args(Kind))
    assert set(FORMAT_WORDS) == set(FORMATS)
    assert set(AGREEMENT_WORDS) == set(AGREEMENTS)


def test_moments__hold_the_last_day_as_a_whole() -> None:
    first, after = datetime(2026, 1, 30, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

    assert moments_of(()) == (None, None)
    assert moments_of([date(2026, 1, 30), date(2026, 1, 31)]) == (first, after)
    assert moments_of([date(2026, 1, 31)]) == (datetime(2026, 1, 31, tzinfo=UTC), after)
