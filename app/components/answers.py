"""The answers of a study as the components get them."""

from dataclasses import asdict
from typing import Any

from datasets.bethesda import LabelSet
from datasets.criteria import CRITERIA


def answer_rows(label_set: LabelSet) -> list[dict[str, Any]]:
    """Return the categories with their keys, colours, shapes and criteria, in order."""
    return [{**asdict(category), "criteria": CRITERIA.get(category.id, ())} for category in label_set.categories]
