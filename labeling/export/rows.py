"""The one query behind every export: a row for each label, with all that explains it."""

from typing import Any

from sqlalchemy import select

from datasets.bethesda import LabelSet
from datasets.catalog import Cell, Slide
from datasets.db import Database
from labeling.answers import current_labels
from labeling.records import Label, Probe, Undo

COLUMNS: dict[str, type] = {
    "label_id": int, "label_key": str, "cell": str, "slide": str, "x_px": float, "y_px": float,
    "slide_mpp": float, "crop_mpp": float, "annotator": str, "category": str, "label_set": str,
    "is_current": bool, "made_at": str, "decided_at": str, "taken_back_at": str, "seconds": float,
    "reason": str, "suggestion": str, "suggestion_probability": float, "suggestion_shown": bool,
    "probe": str, "encoder_fingerprint": str, "confidence": str, "comment": str, "step": str,
}  # fmt: skip
"""Column names and kinds, in order; every kind may be missing (None)."""

Row = dict[str, Any]


def export_rows(database: Database, label_set: LabelSet) -> list[Row]:
    """Return all labels in the order in which they were given.

    `is_current` is False for labels that were taken back or replaced by a newer one of the same
    annotator. Times are UTC, ISO 8601. Coordinates are level-0 pixels of the slide.
    """
    with database.read() as session:
        current = {label.label_id for label in current_labels(session, include_imported=True)}
        found = session.execute(
            select(Label, Cell, Slide.mpp, Undo.made_at, Probe.encoder_fingerprint)
            .join(Cell, Cell.id == Label.cell_id)
            .join(Slide, Slide.id == Cell.slide_id)
            .outerjoin(Undo, Undo.label_id == Label.id)
            .outerjoin(Probe, Probe.id == Label.probe_id)
            .order_by(Label.id)
        )
        return [
            {
                "label_id": label.id, "label_key": label.key, "cell": cell.id,
                "slide": cell.slide_id, "x_px": cell.x, "y_px": cell.y, "slide_mpp": mpp, "crop_mpp": cell.crop_mpp,
                "annotator": label.annotator, "category": label.category,
                "label_set": label_set.id, "is_current": label.id in current,
                "made_at": label.made_at.isoformat(), "decided_at": _iso(label.decided_at),
                "taken_back_at": _iso(undone_at), "seconds": label.seconds, "reason": label.reason,
                "suggestion": label.suggestion,
                "suggestion_probability": label.suggestion_probability,
                "suggestion_shown": label.suggestion_shown, "probe": label.probe_id,
                "encoder_fingerprint": fingerprint, "confidence": label.confidence,
                "comment": label.comment, "step": label.step,
            }
            for label, cell, mpp, undone_at, fingerprint in found
        ]  # fmt: skip


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
