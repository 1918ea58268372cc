"""What every component that labels gets: the answers of the study, the keys in force, the reader's words."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.keys import Command, Keys, answer_keys, command_rows
from app.words import Words
from datasets.bethesda import LabelSet
from datasets.criteria import CRITERIA


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Who looks at a component: whose labels, in which language, with which keys."""

    account: str
    """Unsent labels are kept in the browser under this name."""
    csrf_token: str
    """Sent with everything that changes something."""
    words: Words
    keys: Keys


def answer_rows(label_set: LabelSet, reader: Reader) -> list[dict[str, Any]]:
    """Return the categories with their keys, colours, shapes and criteria, in order, in the reader's words."""
    tr, keys = reader.words, answer_keys(label_set, reader.keys)
    return [
        {**asdict(c), "key": keys[c.id], "name": tr(c.name), "description": tr(c.description),
         "group": tr(c.group), "group_id": c.group,
         "criteria": [tr(text) for text in CRITERIA.get(c.id, ())]}
        for c in label_set.categories
    ]  # fmt: skip


def component_data(
    label_set: LabelSet, reader: Reader, commands: Sequence[Command], scripts: Sequence[str]
) -> dict[str, Any]:
    """Return what each component that labels needs first.

    Args:
        label_set: The answers.
        reader: Who looks at it.
        commands: What its keys do beside answering.
        scripts: Of the component; the words that they say go along.
    """
    return {
        "categories": answer_rows(label_set, reader), "account": reader.account, "csrf": reader.csrf_token,
        "commands": command_rows(commands, label_set, reader.keys, reader.words),
        "words": reader.words.of_script(*scripts), "language": reader.words.language,
    }  # fmt: skip
