"""CSV that a spreadsheet opens without running anything in it."""

import csv
import io

from labeling.export.rows import COLUMNS, Row

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(rows: list[Row]) -> bytes:
    """Write rows as UTF-8 CSV with a header; a missing value is an empty field.

    Text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _safe(value) for key, value in row.items()})
    return text.getvalue().encode()


def _safe(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
