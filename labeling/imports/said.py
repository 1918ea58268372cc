"""What doctors said of whole slides, and verdicts, back from a table: each once, however often a file comes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datasets.db import Database, utc_now
from labeling.errors import LabelRefused
from labeling.imports.resolve import Found, Resolver
from labeling.imports.store import IMPORT, StoreReport, batches
from labeling.imports.values import key_in, moment_in, text_in, word_in
from labeling.opinions import ADEQUACIES, ZONES, slide_categories
from labeling.records import Label, Verdict
from labeling.slide_records import Opinion

SAID = ("opinion", "verdict")
"""Kinds of rows that are no labels and do not follow from labels."""
_ROWS_PER_TRANSACTION = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A row that came in a file, ready to be stored."""

    row: Opinion | Verdict
    of_labels: tuple[str, ...] = ()
    """Of a verdict: keys of the labels that stood when it was given."""


def read_said(resolver: Resolver, found: Found) -> Said:
    """Return an opinion or a verdict as this study would have it.

    Raises:
        LabelRefused: It does not fit, with the reason.
    """
    values = found.values
    return _opinion(resolver, values) if values.get("kind") == "opinion" else _verdict(resolver, values)


def store_said(database: Database, said: Sequence[Said]) -> StoreReport:
    """Store opinions and verdicts in their order; doctors who label meanwhile wait for some hundred rows at most."""
    report = StoreReport()
    for batch in batches(enumerate(said), _ROWS_PER_TRANSACTION):
        with database.write() as session:
            session.info["by"] = IMPORT
            for place, one in batch:
                try:
                    is_new = _store(session, one)
                except LabelRefused as refusal:
                    report.refused[place] = str(refusal)
                else:
                    report.new, report.known = report.new + is_new, report.known + (not is_new)
    return report


def _opinion(resolver: Resolver, values: Mapping[str, Any]) -> Said:
    annotator, slide = resolver.annotator(values), resolver.slide(values)
    says = {
        "adequacy": _one_of(values, "adequacy", ADEQUACIES), "zone": _one_of(values, "zone", ZONES),
        "category": _one_of(values, "category", slide_categories(resolver.label_set)),
        "comment": text_in(values, "comment"),
    }  # fmt: skip
    own_key = key_in(values) if annotator == word_in(values, "annotator") else None
    made_at = moment_in(values, "made_at") or utc_now()
    key = own_key or _key(annotator, slide, made_at.isoformat(), *map(str, says.values()))
    return Said(row=Opinion(key=key, slide_id=slide, annotator=annotator, made_at=made_at, **says))


def _verdict(resolver: Resolver, values: Mapping[str, Any]) -> Said:
    adjudicator, given_by = resolver.annotator(values), word_in(values, "annotator")
    if adjudicator != given_by:
        raise LabelRefused(f"a verdict of {given_by}: it cannot become another's; import it without --annotator.")
    cell, made_at = resolver.cell(values), moment_in(values, "made_at") or utc_now()
    category = None if word_in(values, "category") is None else resolver.category(values)
    key = key_in(values) or _key(adjudicator, cell, made_at.isoformat(), str(category))
    row = Verdict(key=key, cell_id=cell, adjudicator=adjudicator, category=category, made_at=made_at, label_ids=[],
                  comment=text_in(values, "comment"))  # fmt: skip
    return Said(row=row, of_labels=_keys_in(values))


def _keys_in(values: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        keys = json.loads(values.get("of_labels") or "[]")
    except (TypeError, ValueError, RecursionError):
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise LabelRefused("of_labels: not a JSON list of keys of labels.")
    return tuple(keys)


def _one_of(values: Mapping[str, Any], name: str, choices: Sequence[str]) -> str | None:
    word = word_in(values, name)
    if word is not None and word not in choices:
        raise LabelRefused(f"{name} {word[:40]}: there are {', '.join(choices)}.")
    return word


def _store(session: Session, said: Said) -> bool:
    """Add a row; returns False where it is stored already.

    Raises:
        LabelRefused: Its key is another row's, or a newer verdict stands.
    """
    row = said.row
    stored = _stored(session, row)
    if stored is not None:
        if _content(stored) != _content(row):
            raise LabelRefused(f"key {row.key}: stored already with another content.")
        return False
    if isinstance(row, Verdict):
        newest = session.scalar(select(func.max(Verdict.made_at)).where(Verdict.cell_id == row.cell_id))
        if newest is not None and newest > row.made_at:
            raise LabelRefused(f"cell {row.cell_id}: a newer verdict, of {newest.isoformat()}, stands here.")
        numbers = dict(session.execute(select(Label.key, Label.id).where(Label.key.in_(said.of_labels))).all())
        row.label_ids = [numbers[key] for key in said.of_labels if key in numbers]
    session.add(row)
    session.flush()
    return True


def _stored(session: Session, row: Opinion | Verdict) -> Opinion | Verdict | None:
    if isinstance(row, Verdict):
        return session.scalar(select(Verdict).where(Verdict.key == row.key))
    return session.scalar(select(Opinion).where(Opinion.key == row.key))


def _content(row: Opinion | Verdict) -> tuple[str | None, ...]:
    if isinstance(row, Verdict):
        return row.cell_id, row.adjudicator, row.category
    return row.slide_id, row.annotator, row.adequacy, row.zone, row.category, row.comment


def _key(*parts: str) -> str:
    """Return a key that is the same whenever the same row comes again."""
    return f"import:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"
