"""How a cell is told to a page: its picture, its scale, why it is asked, what was suggested."""

import re
from typing import Any

from app.settings import SuggestionMode
from app.sign_in import PUBLIC
from datasets.bethesda import LabelSet
from labeling.openings import POOL_REASON
from labeling.records import Label

_BLIND = "the suggestion wavers between two answers, which are named after yours"
_PLAIN = {POOL_REASON: "next in line; nothing speaks for another one yet"}


def cell_row(cell_id: str, mpp: float | None) -> dict[str, Any]:
    """Return a cell for a page; `mpp` is the scale of its crop, None where unknown."""
    return {"cell": cell_id, "image": f"{PUBLIC}/cells/{cell_id}/image", "mpp": mpp}


def suggestion_row(category: str | None, probability: float | None) -> dict[str, Any] | None:
    """Return a suggestion for a page."""
    return None if category is None else {"category": category, "probability": probability}


def label_row(label: Label, mpp: float | None, *, mode: SuggestionMode, label_set: LabelSet) -> dict[str, Any]:
    """Return an annotator's own label for his page, with what may be told after the answer."""
    is_hidden = mode == "hidden"
    because = None if label.reason is None else asked_because(label.reason, label_set, is_blind=is_hidden)
    return {
        **cell_row(label.cell_id, mpp), "key": label.key, "category": label.category,
        "confidence": label.confidence, "comment": label.comment, "asked_because": because,
        "suggestion": None if is_hidden else suggestion_row(label.suggestion, label.suggestion_probability),
    }  # fmt: skip


def asked_because(reason: str, label_set: LabelSet, *, is_blind: bool) -> str:
    """Return in plain words why a cell is asked.

    Args:
        reason: As the worklist gave it.
        label_set: Its categories are written with their names.
        is_blind: True before the answer in a study that hides the suggestion until then: a reason
            that names a category would give it away.
    """
    reason = _PLAIN.get(reason, reason)
    names = {category.id: category.name for category in label_set.categories}
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pattern = rf"(?<![\w-])(?:{longest_first})(?![\w-])"
    if is_blind and re.search(pattern, reason):
        return _BLIND
    return re.sub(pattern, lambda found: names[found[0]], reason)
