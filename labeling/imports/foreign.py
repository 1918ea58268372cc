"""JSON of other programs, taken for no more than it is: any value may be of any kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from labeling.imports.resolve import Found, normal_word

Json = dict[str, Any]


def told_by(where: str, told: Json, category: Any, place: Mapping[str, Any]) -> Found:
    """Join what this program wrote with what the other one says: the other one's category counts."""
    before = told.get("category")
    is_changed = before is not None and category is not None and normal_word(str(category)) != normal_word(str(before))
    values = {**place, **told, **({"category": category} if category is not None else {})}
    return Found(where=where, values=values, changed_from=str(before) if is_changed else None)


def as_dict(value: Any) -> Json:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def numbers_in(values: Sequence[Any]) -> list[float]:
    """Return the values as numbers; none at all where one of them is no number, or larger than a number can be."""
    if not all(isinstance(value, int | float) for value in values):
        return []
    try:
        return [float(value) for value in values]
    except OverflowError:
        return []
