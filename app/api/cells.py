"""How a cell is told to a page: its picture, its scale, why it is asked, what was suggested."""

import re
from typing import Any

from app.settings import SuggestionMode
from app.sign_in import PUBLIC
from app.words import ENGLISH, Words, word, words
from datasets.bethesda import LabelSet
from labeling.mixture import CHECK_REASON
from labeling.openings import POOL_REASON
from labeling.records import Label

_ENGLISH = words(ENGLISH)
_BLIND = word("the suggestion wavers between two answers, which are named after yours")
_PLAIN = {POOL_REASON: word("next in line; nothing speaks for another one yet")}
# Said by the worklist, which knows no languages.
_SAID = (
    word("typical of a group of cells"),
    word("its slide comes first in this study"),
    word("unlike the cells labelled so far"),
    word("a check cell: keeps the figures of this study honest"),
    word("a known cell among the others: it shows whether the sweep was careful"),
    word("resembles the other cells of a gallery page"),
    word("taken back"),
    word("you asked for cells with this suggestion"),
)


def cell_row(cell_id: str, mpp: float | None) -> dict[str, Any]:
    """Return a cell for a page; `mpp` is the scale of its crop, None where unknown."""
    return {"cell": cell_id, "image": f"{PUBLIC}/cells/{cell_id}/image", "mpp": mpp}


def suggestion_row(category: str | None, probability: float | None) -> dict[str, Any] | None:
    """Return a suggestion for a page."""
    return None if category is None else {"category": category, "probability": probability}


def suggestion_after(mode: str, reason: str | None, category: str | None, probability: float | None) -> dict[str, Any]:
    """Return what is told of the suggestion after the answer, and whether it is kept back.

    A check cell's is never told: whoever learns it may change the answer that was to measure something,
    and a repeat would be known by having none.
    """
    is_kept_back = mode != "hidden" and reason == CHECK_REASON
    is_told = mode != "hidden" and not is_kept_back
    return {"suggestion": suggestion_row(category, probability) if is_told else None, "kept_back": is_kept_back}


def label_row(
    label: Label, mpp: float | None, *, mode: SuggestionMode, label_set: LabelSet, tr: Words = _ENGLISH
) -> dict[str, Any]:
    """Return an annotator's own label for his page, with what may be told after the answer.

    Args:
        label: The row.
        mpp: Um per pixel of the cell's crop, None where unknown.
        mode: When the study shows suggestions.
        label_set: The study's answers.
        tr: The words of the person's language.
    """
    is_hidden = mode == "hidden"
    because = None if label.reason is None else asked_because(label.reason, label_set, is_blind=is_hidden, tr=tr)
    return {
        **cell_row(label.cell_id, mpp), "key": label.key, "category": label.category,
        "confidence": label.confidence, "comment": label.comment, "asked_because": because,
        **suggestion_after(mode, label.reason, label.suggestion, label.suggestion_probability),
    }  # fmt: skip


def asked_because(reason: str, label_set: LabelSet, *, is_blind: bool, tr: Words = _ENGLISH) -> str:
    """Return in plain words why a cell is asked.

    Args:
        reason: As the worklist gave it.
        label_set: Its categories are written with their names.
        is_blind: True before the answer in a study that hides the suggestion until then: a reason
            that names a category would give it away.
        tr: The reader's words.
    """
    names = {category.id: category.name for category in label_set.categories}
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    named = re.fullmatch(rf"({longest_first}) or ({longest_first}) is unclear", reason)
    if named is None:
        return tr(_PLAIN.get(reason, reason))
    if is_blind:
        return tr(_BLIND)
    return tr("{first} or {second} is unclear", first=tr(names[named[1]]), second=tr(names[named[2]]))
