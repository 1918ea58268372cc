"""Public sets of whole fields: by names of files (ISBI 2014, Cervix93), or a table of points (CRIC). No pixels."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.folders import is_left_out
from datasets.public_sets import CERVIX93_SET, ISBI14_SET, PublicSet

_FOLDER = "EDF"
"""Of both sets' pictures of extended depth of field."""
_ISBI14, _CERVIX93 = re.compile(r"EDF\d{1,3}"), re.compile(r"frame\d{3}")


COLUMNS = {"image": ("image", "image_filename"), "bethesda_system": ("bethesda_system",), "x": ("x", "nucleus_x"),
           "y": ("y", "nucleus_y")}  # fmt: skip
"""What a table of points must have, and how CRIC's own names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One line of a table of points, as it stands there."""

    image: str
    word: str | None
    x: str
    y: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownField:
    """One field of a set."""

    picture: Path
    points: Path | None = None
    """Table of marked nuclei."""
    planes: tuple[Path, ...] = ()
    """The same field at several focal planes, in order."""


def known_fields(path: Path) -> tuple[PublicSet, list[KnownField]] | None:
    """Find one of the sets in a folder, in its unpacked archive, or in the folder of its pictures; None: neither."""
    for folder in _places(path):
        pictures = sorted(folder.glob("*.png"))
        frames = [file for file in pictures if _CERVIX93.fullmatch(file.stem) and file.with_suffix(".csv").is_file()]
        if frames:
            return CERVIX93_SET, [_frame(file) for file in frames]
        fields = [file for file in pictures if _ISBI14.fullmatch(file.stem)]
        # Its names tell little: with other pictures beside it is a hospital's own folder, and none may be left out.
        if fields and not _others(folder, fields):
            return ISBI14_SET, [KnownField(picture=file) for file in fields]
    return None


def _places(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield path
        for pattern in (_FOLDER, f"*/{_FOLDER}", f"*/*/{_FOLDER}"):
            yield from (folder for folder in sorted(path.glob(pattern)) if folder.is_dir())


def _others(folder: Path, fields: list[Path]) -> bool:
    masks = {f"{file.stem}_GT" for file in fields}
    told = {"", ".txt", ".md", ".mat", ".csv", ".pdf"}
    files = (f for f in folder.iterdir() if f.is_file() and not is_left_out(f.name))
    return any(f not in fields and f.stem not in masks and f.suffix.lower() not in told for f in files)


def _frame(picture: Path) -> KnownField:
    stack = picture.parent.parent / f"{picture.stem}_stack"
    return KnownField(picture=picture, points=picture.with_suffix(".csv"), planes=tuple(sorted(stack.glob("*.png"))))


def csv_points(path: Path) -> list[tuple[float, float]]:
    """Read Cervix93's table of nuclei: row and column of a pixel, counted from one, on each line.

    Returns:
        x, y in pixels, counted from zero.

    Raises:
        ValueError: A line is not two numbers.
    """
    places = []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").split():
        row, column = line.split(",")
        places.append((float(column) - 1, float(row) - 1))
    return places


def points_table(folder: Path) -> Path | None:
    """Return the table in a folder that has the columns of `COLUMNS`, None without one."""
    for table in sorted(folder.glob("*.csv")):
        if not table.is_file():
            continue
        try:
            with table.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
                if _names(next(csv.reader(stream), [])) is not None:
                    return table
        except (OSError, csv.Error):  # closed, or no table for all its name: none of points
            continue
    return None


def table_rows(table: Path) -> tuple[list[TableRow], bool]:
    """Read a table that `points_table` found.

    Returns:
        Its lines, and whether it is CRIC's own: a hospital's table says nothing about the scale.

    Raises:
        ValueError: It has other columns now.
    """
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        lines = csv.DictReader(stream)
        names = _names(lines.fieldnames or ())
        if names is None:
            raise ValueError("no table of points")
        image, word, x, y = names.values()
        rows = [TableRow(image=line[image] or "", word=line[word], x=line[x] or "", y=line[y] or "") for line in lines]
        return rows, "image_doi" in (lines.fieldnames or ())


def _names(header: Sequence[str]) -> dict[str, str] | None:
    """Return which column is which, None where one is missing."""
    found = {column: next((name for name in known if name in header), "") for column, known in COLUMNS.items()}
    return found if all(found.values()) else None
