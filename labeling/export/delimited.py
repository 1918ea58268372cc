"""CSV that a spreadsheet opens without running anything in it."""

import csv
from collections.abc import Iterable
from pathlib import Path

from labeling.export.rows import COLUMNS, Row, Study

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_csv(rows: Iterable[Row], out: Path, _study: Study) -> None:
    """Write rows as UTF-8 CSV with a header; a missing value is an empty field.

    Text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    with out.open("w", encoding="utf-8", newline="") as stream:
        # Lines end in "\r\n" as in RFC 4180: with "\n" alone a lone "\r" in a text stays unquoted and cuts its row.
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows({key: safe_text(value) for key, value in row.items()} for row in rows)


def safe_text(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(("'", *_FORMULA_STARTS)):
        return f"'{value}"
    return value


def plain_text(value: str) -> str:
    """Take the apostrophe away that `safe_text` has put in front."""
    is_marked = value.startswith("'") and value[1:].startswith(("'", *_FORMULA_STARTS))
    return value[1:] if is_marked else value
