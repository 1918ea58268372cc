"""Labels out: one query, one file for each format. The same database gives the same bytes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from datasets.bethesda import LabelSet
from datasets.db import Database
from datasets.files import write_atomically
from labeling.errors import LabelingError
from labeling.export.delimited import to_csv
from labeling.export.parquet import to_parquet
from labeling.export.rows import export_rows

_WRITERS = {"csv": to_csv, "parquet": to_parquet}
FORMATS = tuple(_WRITERS)
"""Names of the formats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What was written."""

    rows: int
    files: tuple[Path, ...]
    sha256: str
    """Of the file's bytes."""


def export_labels(database: Database, format_name: str, out: Path, *, label_set: LabelSet) -> ExportReport:
    """Write every label, current or taken back, with where it comes from.

    Args:
        database: The study's database.
        format_name: One of `FORMATS`.
        out: The file; replaced atomically.
        label_set: Named in every row.

    Raises:
        LabelingError: An unknown format.
        OSError: The file cannot be written.
    """
    if format_name not in _WRITERS:
        raise LabelingError(f"format {format_name}: there are {', '.join(FORMATS)}.")
    rows = export_rows(database, label_set)
    content = _WRITERS[format_name](rows)
    write_atomically(out, content)
    digest = hashlib.sha256(content).hexdigest()
    return ExportReport(rows=len(rows), files=(out,), sha256=digest)
