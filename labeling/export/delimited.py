"""CSV that a spreadsheet opens without running anything in it."""

import csv
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path

from labeling.export.rows import COLUMNS, Row, Study

_MARKED = frozenset({"'", "=", "+", "-", "@", "\t", "\r"})
"""First letters of formulas, and of what is marked."""
_in_order = itemgetter(*COLUMNS)


def write_csv(rows: Iterable[Row], out: Path, _study: Study) -> None:
    """Write rows as UTF-8 CSV (RFC 4180) with a header; a missing value is an empty field.

    Text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    with out.open("w", encoding="utf-8", newline="") as stream:
        # Lines end in "\r\n" as in RFC 4180: with "\n" alone a lone "\r" in a text stays unquoted and cuts its row.
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(map(safe_values, rows))


def safe_values(row: Row) -> list[object]:
    """Return a row's values in the order of `COLUMNS`, none of which a spreadsheet takes for a formula."""
    # Asked here and not by a call for each value: a large table has millions of them.
    return [f"'{value}" if value.__class__ is str and value[:1] in _MARKED else value for value in _in_order(row)]


def plain_text(value: str) -> str:
    """Take the apostrophe away that `safe_values` has put in front."""
    is_marked = value.startswith("'") and value[1:2] in _MARKED
    return value[1:] if is_marked else value
