"""Values of a file's rows, read as what their columns hold: words, texts, numbers, moments."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from datasets.db import utc_now
from labeling.errors import LabelRefused
from labeling.export.rows import COLUMNS
from labeling.foreign_records import ForeignProbe
from labeling.imports.store import HISTORY_COLUMNS
from labeling.records import Label

_RENAMED = {"probe": "probe_id"}
_HISTORY = {name: _RENAMED.get(name, name) for name in COLUMNS if _RENAMED.get(name, name) in HISTORY_COLUMNS}
_MOMENTS = ("made_at", "decided_at")
_KEPT_IN = {name: Label.__table__.c[column] for name, column in _HISTORY.items()} | {
    "encoder_fingerprint": ForeignProbe.__table__.c.encoder_fingerprint
}
_LONGEST = {name: getattr(column.type, "length", None) or 80 for name, column in _KEPT_IN.items()}
_CLOCK_SLACK = timedelta(minutes=5)
_HALF = re.compile("[\ud800-\udfff]")
_UPLOAD = re.compile("[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded picture."""
_FLAGS = {"true": True, "1": True, "1.0": True, "wahr": True,
          "false": False, "0": False, "0.0": False, "falsch": False}  # fmt: skip
"""As programs write them; a German Excel translates what it has taken for a truth value."""
CONFIDENCES = (None, "sure", "unsure")
"""What a doctor can say of his answer; a number there is some program's."""


def history_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row tells of its label's past, by the column of the table `labels`.

    Raises:
        LabelRefused: A value is not what its column holds.
    """
    history: dict[str, Any] = {}
    for name, column in _HISTORY.items():
        if name == "confidence" and word_in(values, name) not in CONFIDENCES:
            continue
        value = _read(name)(values, name)
        if value is not None:
            history[column] = value
    return history


def _read(name: str) -> Callable[[Mapping[str, Any], str], Any]:
    if name in _MOMENTS:
        return moment_in
    if COLUMNS[name] is float:
        return number_in
    return flag_in if COLUMNS[name] is bool else text_in


def refuse_halves(values: Mapping[str, Any], *more: str | None) -> None:
    """Refuse what no database and no terminal takes: JSON can escape one half of a character alone.

    Raises:
        LabelRefused: A name or a text has such a half.
    """
    for text in (*values, *values.values(), *more):
        if isinstance(text, str) and not text.isascii() and _HALF.search(text):
            raise LabelRefused(f"half a character in {text[:40].encode(errors='replace').decode()}; take it out.")


def picture_names(name: str) -> tuple[str, ...]:
    """Return what a picture may be called that a file names: with and without its folder, ending, mark of upload."""
    plain = PurePosixPath(name.replace("\\", "/").partition("?")[0]).name
    names = (plain, _UPLOAD.sub("", plain, count=1) if _UPLOAD.match(plain) else plain)
    return tuple(dict.fromkeys((*names, *(PurePosixPath(one).stem for one in names))))


def word_in(values: Mapping[str, Any], name: str) -> str | None:
    """Return a word without spaces around it, None where nothing is said."""
    value = values.get(name)
    # What is missing in a column of numbers is NaN in many tables.
    is_missing = value is None or (isinstance(value, float) and math.isnan(value))
    return (str(value).strip() or None) if not is_missing else None


def text_in(values: Mapping[str, Any], name: str) -> str | None:
    """Return free text as it is; an empty field of a table is a missing one.

    Raises:
        LabelRefused: It is longer than the database keeps, or has a NUL, which no database keeps.
    """
    value = values.get(name)
    if value in (None, "") or (word_in(values, name) is None and isinstance(value, float)):
        return None
    text, most = str(value), _LONGEST.get(name, 80)
    if len(text) > most:
        raise LabelRefused(f"{name} of {len(text)} characters; at most {most}.")
    if "\0" in text:
        raise LabelRefused(f"{name} has a NUL character in it; take it out.")
    return text


def key_in(values: Mapping[str, Any]) -> str | None:
    """Return a row's own key.

    Raises:
        LabelRefused: It is longer than the database keeps.
    """
    return text_in(values, "label_key")


def number_in(values: Mapping[str, Any], name: str) -> float | None:
    """Return a number, None where nothing is said.

    Raises:
        LabelRefused: Not a finite number.
    """
    text = word_in(values, name)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LabelRefused(f"{name} = {text[:20]}: not a number.")
    return number


def flag_in(values: Mapping[str, Any], name: str) -> bool | None:
    """Return true or false, None where nothing is said.

    Raises:
        LabelRefused: Neither.
    """
    text = word_in(values, name)
    if text is None:
        return None
    if text.casefold() not in _FLAGS:
        raise LabelRefused(f"{name} = {text[:20]}: use true or false.")
    return _FLAGS[text.casefold()]


def moment_in(values: Mapping[str, Any], name: str) -> datetime | None:
    """Return a moment in UTC, None where nothing is said.

    Raises:
        LabelRefused: Not ISO 8601 with a time zone, or in the future.
    """
    text = word_in(values, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise LabelRefused(f"{name} = {text[:40]}: not an ISO 8601 time.") from error
    if moment.tzinfo is None:
        raise LabelRefused(f"{name} = {text[:40]}: the time zone is missing.")
    if moment > utc_now() + _CLOCK_SLACK:
        raise LabelRefused(f"{name} = {text[:40]}: lies in the future.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise LabelRefused(f"{name} = {text[:40]}: no calendar has it in UTC.") from error
