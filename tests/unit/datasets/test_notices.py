"""Notes of scans: kept in English, found again by their pattern, said in the reader's language."""

import re

import pytest

from app.words import words
from datasets.notices import GIVEN_WON, NOTICES, OTHER_SCALE, noticed
from datasets.told import Told, told


@pytest.mark.parametrize("pattern", NOTICES)
def test_kept_note__gives_its_pattern_and_values_again(pattern: str) -> None:
    values = {name: f"{number}.5" for number, name in enumerate(re.findall(r"\{(\w+)\}", pattern))}
    found = noticed(str(told(pattern, **values)))

    assert isinstance(found, Told)
    assert (found.pattern, found.values) == (pattern, values)


def test_kept_note__is_said_in_german_and_an_unknown_one_as_it_is() -> None:
    note = told(GIVEN_WON, mpp="0.635", given="0.25")

    assert words("de").of(noticed(str(note))) == (
        "seine Datei nennt 0.635 \u00b5m/px; beim Einlesen wurden 0.25 angegeben und gelten"
    )
    assert words("de").of(noticed("it was noticed by an earlier version")) == "it was noticed by an earlier version"
    assert noticed(str(told(OTHER_SCALE, mpp="0.2", other="0.5"))).startswith("its scale of 0.2 um/px is taken")
