"""Exports that were made from the pages: files in `exports/` of the workspace, each told in the chain of events."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from app.services import Services
from app.words import word
from datasets.db import Database, utc_now
from labeling import audit
from labeling.export import ExportReport, ProgressCallback, Stage, export_labels
from labeling.export.agreed import AgreementKind
from labeling.export.rows import Kind, Selection

FOLDER = "exports"
_NAME = re.compile(r"labels-[0-9TZ]{16}-[0-9a-f]{6}\.[a-z]+")
_ENDINGS = {"csv": "csv", "parquet": "parquet", "coco": "json", "geojson": "geojson", "labelstudio": "json"}
FORMAT_WORDS = {
    "csv": word("a table for any program: all labels, also those taken back, and the reference labels"),
    "parquet": word("the same table, smaller and typed, for data science"),
    "coco": word("boxes for detection tools, one file"),
    "geojson": word("points and boxes for QuPath and other viewers"),
    "labelstudio": word("for going on in Label Studio"),
    "dicom-ann": word("DICOM annotation objects, one for each slide, as a ZIP"),
    "imagefolder": word("cell pictures sorted by reference label, as a ZIP"),
    "webdataset": word("shards of cell pictures for training, as a ZIP"),
}
"""What the product's own formats are for; formats of other packages have their name alone."""
STAGE_WORDS: dict[Stage, str] = {
    "rows": word("{done} of {total} rows"),
    "packed": word("{done} of {total} files packed"),
    "checked": word("{done} of {total} files brought to the disk and checked"),
}
KIND_WORDS: dict[Kind, str] = {
    "label": word("labels of the doctors"),
    "reference": word("reference labels"),
    "opinion": word("what doctors say of slides"),
    "verdict": word("verdicts of the adjudicators"),
}


AGREEMENT_WORDS: dict[AgreementKind, str] = {
    "agree": word("two doctors or more agree"),
    "differ": word("doctors differ"),
    "adjudicated": word("there is a verdict"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """One file that can be fetched."""

    name: str
    rows: int
    sha256: str


def moment_of(text: str) -> datetime:
    """Read a moment (ISO 8601), in UTC unless it names a zone; one that no calendar has in UTC is the nearest it has.

    Raises:
        ValueError: It is none.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if moment.year == 1 else datetime.max.replace(tzinfo=UTC)


def moments_of(days: Sequence[date]) -> tuple[datetime | None, datetime | None]:
    """Return the first moment of the chosen days and the first one after them, in UTC.

    Args:
        days: None, one, or the first and the last.
    """
    if not days:
        return None, None
    first, last = (datetime.combine(day, time(tzinfo=UTC)) for day in (days[0], days[-1]))
    return first, last + timedelta(days=1)


def ending_of(format_name: str) -> str:
    """Return how the name of an export's one file ends; a format that is a folder becomes a ZIP."""
    return _ENDINGS.get(format_name, "zip")


def make_export(
    services: Services, format_name: str, selection: Selection, *, by: str, on_progress: ProgressCallback
) -> Export:
    """Write an export into the workspace and tell it in the chain of events.

    Args:
        services: The open workspace.
        format_name: One of `FORMATS`.
        selection: Which rows.
        by: Who asked for it.
        on_progress: See `export_labels`.

    Raises:
        LabelingError: An unknown format.
        OSError: The file cannot be written.
    """
    stem = f"labels-{utc_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    folder = services.home / FOLDER
    out = folder / f"{stem}.{ending_of(format_name)}"
    report = export_labels(services.database, format_name, out, label_set=services.label_set,
                           crop_px=services.settings.crop_px, selection=selection, on_progress=on_progress)  # fmt: skip
    tell(services.database, format_name, selection, report, by=by)
    return Export(name=out.name, rows=report.rows, sha256=report.sha256)


def tell(
    database: Database, format_name: str, selection: Selection, report: ExportReport, *, by: str, via: str | None = None
) -> None:
    """Append to the chain of events who has taken which labels out: format, all filters, rows and SHA-256.

    Args:
        database: The study's database.
        format_name: One of `FORMATS`.
        selection: Which rows were asked for.
        report: What was written.
        by: Who asked for it.
        via: Through which token, where a program asked.
    """
    filters = {name: _told(value) for name, value in asdict(selection).items()}
    facts = {"format": format_name, "rows": report.rows, "sha256": report.sha256, **filters}
    if via is not None:
        facts["via"] = via
    with database.write() as session:
        audit.append(session, kind="labels exported", by=by, facts=facts)


def _told(value: Any) -> Any:
    if isinstance(value, tuple):
        return ", ".join(value)
    return value.isoformat() if isinstance(value, datetime) else value


def export_path(home: Path, name: str) -> Path | None:
    """Return where an export lies, None where there is none of that name."""
    path = home / FOLDER / name
    return path if _NAME.fullmatch(name) and path.is_file() else None


def known_exports(home: Path) -> list[Path]:
    """Return the exports of the pages, newest first."""
    return sorted((p for p in (home / FOLDER).glob("labels-*") if _NAME.fullmatch(p.name)), reverse=True)
