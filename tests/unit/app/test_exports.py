"""The Export page has a word for everything that it offers."""

from typing import get_args

from app.exports import FORMAT_WORDS, KIND_WORDS
from labeling.export import FORMATS
from labeling.export.rows import Kind


def test_words__are_there_for_every_kind_of_row_and_format() -> None:
    assert set(KIND_WORDS) == set(get_args(Kind))
    assert set(FORMAT_WORDS) == set(FORMATS)
