"""CSV and Parquet: one label a row. Column names of other programs are understood where they are plain."""

import codecs
import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labeling.errors import LabelingError
from labeling.export.delimited import plain_text
from labeling.export.rows import COLUMNS
from labeling.imports.resolve import Found

_OTHER_NAMES = {
    "cell_id": "cell", "slide_id": "slide", "field": "slide", "image_filename": "image", "filename": "image",
    "file_name": "image", "path": "image", "file": "image", "x": "x_px", "y": "y_px", "nucleus_x": "x_px",
    "nucleus_y": "y_px", "label": "category", "class": "category", "bethesda_system": "category",
    "user": "annotator", "doctor": "annotator", "rater": "annotator", "expert": "annotator", "pathologist": "annotator",
    "annotator_id": "annotator", "image_name": "image", "image_path": "image", "img": "image", "class_name": "category",
    "diagnosis": "category", "bethesda": "category", "center_x": "x_px", "center_y": "y_px", "cell_type": "category",
    "x_center": "x_px", "y_center": "y_px", "cx": "x_px", "cy": "y_px", "reader": "annotator", "labeler": "annotator",
    "cytologist": "annotator", "annotation": "category", "cell_class": "category", "crop": "image", "picture": "image",
}  # fmt: skip

_BOXES = (
    ("xmin", "ymin", "xmax", "ymax", False), ("x_min", "y_min", "x_max", "y_max", False),
    ("x1", "y1", "x2", "y2", False), ("left", "top", "width", "height", True),
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h", True), ("bbox_x", "bbox_y", "bbox_width", "bbox_height", True),
)  # fmt: skip
"""Columns of boxes; whether the last two are its size."""
_NUMBERS = {name for name, kind in COLUMNS.items() if kind in (int, float)} | {
    str(name) for columns in _BOXES for name in columns[:-1]
}  # fmt: skip
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
"""Of tables with semicolons or tabs, as programs write them in countries where the comma is the decimal sign."""
_DELIMITER_TOLD = re.compile(r"sep=([,;\t])\s*", re.IGNORECASE)
"""Excel's own first line."""
_SIZES = (("w", "h"), ("width", "height"))


def read_csv(path: Path) -> Iterator[Found]:
    """Yield the rows of a CSV file with commas, semicolons or tabs; the first line is the header.

    Raises:
        LabelingError: Not a UTF-8 table.
    """
    try:
        with path.open(encoding=_encoding(path), newline="") as stream:
            header, first = stream.readline(), 2
            told = _DELIMITER_TOLD.fullmatch(header)
            if told:
                first = 3
            else:
                stream.seek(0)
            delimiter = told[1] if told else max(",;\t", key=header.count)
            for number, row in enumerate(csv.DictReader(stream, delimiter=delimiter), start=first):
                values = {key: plain_text(value) for key, value in row.items() if key and isinstance(value, str)}
                yield Found(where=f"row {number}", values=_named(values, has_decimal_commas=delimiter != ","))
    except (UnicodeError, csv.Error) as error:
        raise LabelingError(f"{path.name}: not a UTF-8 table ({error}). Save it as CSV with UTF-8.") from error


def read_parquet(path: Path) -> Iterator[Found]:
    """Yield the rows of a Parquet file.

    Raises:
        LabelingError: Not a Parquet file.
    """
    try:
        with pq.ParquetFile(path) as source:
            number = 0
            for batch in source.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield Found(where=f"row {number}", values=_named(row))
    except pa.ArrowException as error:
        raise LabelingError(f"{path.name}: not a Parquet file that can be read ({error}).") from error


def _encoding(path: Path) -> str:
    """Return what a table's first bytes tell: Excel's "Unicode text" is UTF-16, all else has to be UTF-8."""
    with path.open("rb") as stream:
        return "utf-16" if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _named(row: Mapping[str, Any], *, has_decimal_commas: bool = False) -> dict[str, Any]:
    names = {key: key.strip().casefold().replace(" ", "_") for key in row}
    named: dict[str, Any] = {}
    for key, value in row.items():
        name = _OTHER_NAMES.get(names[key], names[key])
        is_comma = has_decimal_commas and name in _NUMBERS and _DECIMAL_COMMA.fullmatch(value)
        named.setdefault(name, value.replace(",", ".") if is_comma else value)
    if named.get("x_px") in (None, ""):
        named.update(_centre_of_box(named))
    elif "x" in names.values() and any(set(size) <= set(names.values()) for size in _SIZES):
        # Some programs mean the corner of a box by it, others its centre: guessed wrongly, it is another cell.
        named["unclear"] = (
            "x and y beside a width and a height: corner or centre? Call the columns left and top, or center_x and "
            "center_y."
        )
    return named


def _centre_of_box(row: dict[str, Any]) -> dict[str, float]:
    """Return the middle of a box that a detector's table names by its corners, or by a corner and its size."""
    for columns in _BOXES:
        *names, is_size = columns
        try:
            x, y, x2, y2 = (float(row[str(name)]) for name in names)
        except (KeyError, TypeError, ValueError):
            continue
        for name in names:
            del row[str(name)]  # it is told by the centre
        return {"x_px": x + x2 / 2, "y_px": y + y2 / 2} if is_size else {"x_px": (x + x2) / 2, "y_px": (y + y2) / 2}
    return {}
