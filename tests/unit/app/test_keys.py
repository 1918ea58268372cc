"""Keys of a person: in force on every page, never with two meanings, for any number of answers."""

import pytest

from app.keys import (
    GALLERY,
    LABEL,
    PAGES,
    KeyRefused,
    answer_keys,
    command_rows,
    free_commands,
    own_key,
    page_keys,
    refuse_conflicts,
)
from app.words import words
from datasets.bethesda import BETHESDA, HERLEV, Category, LabelSet

TR = words("en")
FOURTEEN = LabelSet(
    id="own", name="own",
    categories=tuple(
        Category(id=f"k{key}", key=key, name=f"Class {key}", description="", group="G", color="#4363c9", shape="dot")
        for key in "1234567890FMXL"
    ),
)  # fmt: skip


@pytest.mark.parametrize("label_set", [BETHESDA, HERLEV, FOURTEEN], ids=lambda s: s.id)
def test_keys_in_force__are_all_different_on_each_page(label_set: LabelSet) -> None:
    refuse_conflicts(label_set, {}, TR)
    for page in PAGES:
        keys = page_keys(page, label_set, {}).values()
        found = [*answer_keys(label_set, {}).values(), *(key for key in keys if key is not None)]

        assert len(set(found)) == len(found)


@pytest.mark.parametrize("label_set", [BETHESDA, HERLEV], ids=lambda s: s.id)
def test_settings_as_they_are__may_be_kept(label_set: LabelSet) -> None:
    shown = {f"command:{c.id}": own_key(c, label_set, {}) for c in free_commands()}

    assert all(key is None or len(key) == 1 for key in shown.values())
    refuse_conflicts(label_set, {what: key for what, key in shown.items() if key}, TR)


def test_own_key_of_an_answer__moves_the_command_that_had_it(tmp_path) -> None:
    own = {"answer:HSIL": "F"}
    refuse_conflicts(BETHESDA, own, TR)
    rows = {row["id"]: row["key"] for row in command_rows(LABEL, BETHESDA, own, TR)}

    assert answer_keys(BETHESDA, own)["HSIL"] == "F"
    assert rows["wide"] == "V"


def test_own_key_of_a_command__holds_on_every_page_that_has_it() -> None:
    own = {"command:like": "G"}
    keys = [
        {row["id"]: row["key"] for row in command_rows(page, BETHESDA, own, TR)}["like"] for page in (LABEL, GALLERY)
    ]

    assert keys == ["G", "G"]


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ({"answer:HSIL": "4"}, "would mean both .ASC-H. and .HSIL."),
        ({"answer:HSIL": "G", "answer:LSIL": "G"}, "would mean both"),
        ({"command:ring": "F"}, "would mean both"),
        ({"command:ring": "1"}, "would mean both"),
        ({"answer:HSIL": "C"}, "cannot be used"),
        ({"answer:HSIL": "Enter"}, "cannot be used"),
        ({"answer:nothing": "G"}, "no such answer"),
        ({"command:help": "G"}, "no such answer"),
    ],
)
def test_conflict__is_refused_with_both_meanings(own: dict[str, str], why: str) -> None:
    with pytest.raises(KeyRefused, match=why):
        refuse_conflicts(BETHESDA, own, TR)
