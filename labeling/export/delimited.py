"""CSV that a spreadsheet opens without running anything in it."""

import csv
import re
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path

from labeling.export.rows import COLUMNS, Row, Study

_SIGNS = frozenset("'=+-@\uff1d\uff0b\uff0d\uff20")
"""First letters of formulas, of full width too (OWASP, "CSV injection"), and of what is marked."""
_SIGN = "['=+\\-@\uff1d\uff0b\uff0d\uff20]"
# A spreadsheet that takes semicolons or tabs for the delimiter, as Excel does in German, sees fields begin inside our
# texts too, and rows after their line ends.
_WITHIN = r"(?<=[;\t\r\n])"
_TO_MARK = re.compile(rf"^(?={_SIGN}|[\t\r\n])|{_WITHIN}(?={_SIGN})")
_MARKED = re.compile(rf"^'(?={_SIGN}|[\t\r\n])|{_WITHIN}'(?={_SIGN})")
_in_order = itemgetter(*COLUMNS)


def write_csv(rows: Iterable[Row], out: Path, _study: Study) -> None:
    """Write rows as UTF-8 CSV (RFC 4180) with a header; a missing value is an empty field.

    What a spreadsheet would take for a formula gets an apostrophe in front, also within a text, where a
    field could begin.
    """
    with out.open("w", encoding="utf-8", newline="") as stream:
        # Lines end in "\r\n" as in RFC 4180: with "\n" alone a lone "\r" in a text stays unquoted and cuts its row.
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(map(safe_values, rows))


def safe_values(row: Row) -> list[object]:
    """Return a row's values in the order of `COLUMNS`, none of which a spreadsheet takes for a formula."""
    # Asked here and not by a call for each value: a large table has millions of them.
    values = _in_order(row)
    texts = "\0".join([value for value in values if value.__class__ is str])
    if ";" in texts or "\n" in texts or "\r" in texts or "\t" in texts:
        return [_TO_MARK.sub("'", value) if value.__class__ is str else value for value in values]
    return [f"'{value}" if value.__class__ is str and value[:1] in _SIGNS else value for value in values]


def plain_text(value: str) -> str:
    """Take the apostrophes away that `safe_values` has put in."""
    return _MARKED.sub("", value) if "'" in value else value
