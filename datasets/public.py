"""How public sets and hospital folders are laid out: which files, which groups, which labels.

Only names and tables are looked at here; no picture is opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from datasets.companions import orphans, without_parts
from datasets.errors import LayoutError
from datasets.folders import files_below, is_left_out
from datasets.public_fields import COLUMNS, KnownField, csv_points, known_fields, points_table, table_rows
from datasets.public_sets import PublicSet, recognise

Layout = Literal["auto", "cells", "cric", "slides"]

CRIC_MPP = 0.247
"""Nominal scale of the CRIC fields as distributed at 1376 pixels (Rezende et al. 2021)."""

PUBLIC_WORDS = {
    "negative for intraepithelial lesion": "NILM",
    "nilm": "NILM",
    "asc-us": "ASC-US",
    "lsil": "LSIL",
    "asc-h": "ASC-H",
    "hsil": "HSIL",
    "scc": "SCC",
    "ascus": "ASC-US",
    "asch": "ASC-H",
    "negative": "NILM",
    "negative for intraepithelial malignancy": "NILM",
    "negative for intraepithelial lesion or malignancy": "NILM",
    "low squamous intra-epithelial lesion": "LSIL",
    "low-grade squamous intraepithelial lesion": "LSIL",
    "high squamous intra-epithelial lesion": "HSIL",
    "high-grade squamous intraepithelial lesion": "HSIL",
    "squamous cell carcinoma": "SCC",
}
"""How public sets spell the categories of The Bethesda System, in lower case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A labelled point of a field: centre in pixels, and a category's id or the set's word."""

    x: float
    y: float
    category: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CellFile:
    """A picture of one cell, in a folder that is called like its class."""

    path: Path
    category: str
    group: str | None
    """What the file name tells about its slide, None when nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldFile:
    """A picture of a whole field with the points that a table names in it."""

    path: Path
    points: tuple[Point, ...] = ()
    planes: tuple[Path, ...] = ()
    """Pictures of the same field at several focal planes, lowest first, where a known set has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StackFiles:
    """Pictures of one field at several focal planes, lowest first."""

    paths: tuple[Path, ...]
    step_um: float
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a path holds, before any picture is opened."""

    layout: Layout
    cells: tuple[CellFile, ...] = ()
    fields: tuple[FieldFile, ...] = ()
    stacks: tuple[StackFiles, ...] = ()
    mpp: float | None = None
    """The set's published scale, None when the set is not a known one."""
    mpp_source: str = "unknown"
    refused: tuple[tuple[Path, str], ...] = ()
    """Files that the layout names but that are not there or make no sense."""
    notes: tuple[str, ...] = ()
    """What the operator should know of the set: whose it is, its terms, what of it cannot be used."""


def same_picture(earlier: object, file: object) -> str:
    """Say that a file has the bytes of an earlier one of the import, and of which class that is if of another."""
    if isinstance(earlier, CellFile) and isinstance(file, CellFile) and earlier.category != file.category:
        return (
            f"the same picture lies in {earlier.category} ({earlier.path.name}), and that label counts. "
            "Leave it in the right class alone"
        )
    return "the same picture as an earlier file of this import"


def plan(path: Path, layout: Layout = "auto") -> Plan:
    """Find out what a path holds.

    Args:
        path: A picture, a folder of pictures, a folder of class-named folders, or a folder with
            `images/` and a table of points.
        layout: Force one of the layouts; `auto` looks.

    Raises:
        LayoutError: The path is missing or does not have the forced layout.
    """
    if not path.exists():
        raise LayoutError(f"{path}: there is no such file or folder.")
    table = _table_of(path)
    class_folders = _class_folders(path)
    if layout == "cric" and table is None:
        raise LayoutError(f"{path}: no table with the columns {', '.join(COLUMNS)} in it.")
    if layout == "cells" and not class_folders:
        raise LayoutError(f"{path}: no class-named folders with files in it.")
    if layout == "cric" or (layout == "auto" and table is not None):
        assert table is not None
        return _plan_points(path, table)
    if layout == "cells" or (layout == "auto" and class_folders):
        return _plan_cells(class_folders)
    if layout == "auto" and (known := _archive(path)) is not None:
        return _plan_archive(*known)
    if layout == "auto" and (fields := known_fields(path)) is not None:
        return _plan_fields(*fields)
    lost, closed = (orphans(path), files_below(path)[1]) if path.is_dir() else ([], [])
    files = tuple(FieldFile(path=file) for file in _files(path))
    return Plan(layout="slides", fields=files, refused=(*lost, *closed))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else without_parts(files_below(path)[0])


def _class_folders(path: Path) -> list[Path]:
    if not path.is_dir() or any(_is_picture_name(child) for child in path.iterdir()):
        return []
    folders = [child for child in sorted(path.iterdir()) if child.is_dir() and not is_left_out(child.name)]
    filled = [folder for folder in folders if any(child.is_file() for child in folder.iterdir())]
    classes = [folder for folder in filled if any(map(_is_picture_name, folder.iterdir()))]
    # One folder is a folder of fields ("images"), not a set with one class; a folder that holds
    # anything but pictures, at whatever depth, is a hospital's.
    return classes if len(classes) > 1 and all(map(_holds_only_pictures, filled)) else []


def _holds_only_pictures(folder: Path) -> bool:
    return all(file.suffix.lower() in _PICTURE_SUFFIXES | _COMPANION_SUFFIXES for file in files_below(folder)[0])


_COMPANION_SUFFIXES = {".txt", ".csv", ".dat", ".md", ".db", ".ini"}
_PAPERS = _COMPANION_SUFFIXES | {".json", ".xml", ".html", ".pdf", ".xls", ".xlsx", ".doc", ".docx"}
"""Of what lies beside the pictures of an archive."""
_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def _is_picture_name(path: Path) -> bool:
    return path.is_file() and not is_left_out(path.name) and path.suffix.lower() in _PICTURE_SUFFIXES


def _plan_cells(folders: list[Path]) -> Plan:
    known = recognise(folder.name for folder in folders)
    if known is not None:
        return _plan_archive(known, folders)
    cells = tuple(
        CellFile(path=file, category=folder.name, group=None) for folder in folders for file in _files(folder)
    )
    return Plan(layout="cells", cells=cells)


def _archive(path: Path) -> tuple[PublicSet, list[Path]] | None:
    """Find a known set in a folder that does not hold its class folders filled and side by side.

    Archives are unpacked into a folder of the same name once more, or hold other things beside the classes: tables,
    texts, folders without a picture.
    """
    if not path.is_dir():
        return None
    folders = [child for child in sorted(path.iterdir()) if child.is_dir() and not is_left_out(child.name)]
    known = recognise(folder.name for folder in folders)
    if known is not None:
        return known, folders
    inner = _inner(path)
    return None if inner is None else _archive(inner)


def _inner(path: Path) -> Path | None:
    """Return the one folder in which all that is not paper lies, None where it lies in several or beside it."""
    children = [child for child in sorted(path.iterdir()) if not is_left_out(child.name)]
    filled = [c for c in children if c.is_dir() and not c.is_symlink() and any(map(_is_no_paper, c.rglob("*")))]
    return filled[0] if len(filled) == 1 and not any(map(_is_no_paper, children)) else None


def _is_no_paper(path: Path) -> bool:
    return path.suffix.lower() not in _PAPERS and not is_left_out(path.name) and path.is_file()


def _plan_archive(known: PublicSet, folders: list[Path]) -> Plan:
    pictures = [(folder.name, file) for folder in folders for file in _files(folder)
                if file.suffix.lower() in _PICTURE_SUFFIXES and not known.is_mask(file.stem)]  # fmt: skip
    if known.holds_whole_fields:
        return _set_plan(known, fields=tuple(FieldFile(path=file) for _, file in pictures))
    cells = tuple(
        CellFile(path=file, category=category, group=known.group_of(category, file.stem))
        for category, file in pictures if known.cell_folder in (None, file.parent.name)
    )  # fmt: skip
    return _set_plan(known, cells=cells)


def _plan_fields(known: PublicSet, found: Sequence[KnownField]) -> Plan:
    fields, refused = [], []
    for file in found:
        try:
            places = [] if file.points is None else csv_points(file.points)
        except ValueError:
            refused.append((file.points or file.picture, "x and y must be numbers"))
            continue
        points = tuple(Point(x=x, y=y, category=None) for x, y in places)
        fields.append(FieldFile(path=file.picture, points=points, planes=file.planes))
    return replace(_set_plan(known, fields=tuple(fields)), refused=tuple(refused))


def _set_plan(known: PublicSet, *, cells: tuple[CellFile, ...] = (), fields: tuple[FieldFile, ...] = ()) -> Plan:
    layout: Layout = "slides" if fields else "cells"
    notes = [f"{known.name}: {known.citation} Terms: {known.terms}."]
    if known.holds_whole_fields:
        notes.append(known.told)
    elif known.cell_folder:
        notes.append(
            f"Only the single cells in {known.cell_folder} were taken; those of one picture stay together in splits."
        )
    source = "unknown" if known.mpp is None else f"published: {known.name}"
    return Plan(layout=layout, cells=cells, fields=fields, mpp=known.mpp, mpp_source=source, notes=tuple(notes))


def _table_of(path: Path) -> Path | None:
    """Return the table of points of a folder, also one folder deeper where all pictures lie there."""
    if not path.is_dir():
        return None
    table = points_table(path)
    inner = _inner(path) if table is None else None
    return table if inner is None else points_table(inner)


def _plan_points(path: Path, table: Path) -> Plan:
    pictures = {file.name: file for file in _files(path) if file.suffix.lower() in _PICTURE_SUFFIXES}
    points: dict[str, list[Point]] = {name: [] for name in pictures}
    refused: list[tuple[Path, str]] = []
    rows, is_cric = table_rows(table)
    for number, row in enumerate(rows, start=2):
        if row.image not in points:
            refused.append((table, f"line {number}: there is no picture of that name"))
            continue
        try:
            point = Point(x=float(row.x), y=float(row.y), category=category_of(row.word))
        except ValueError:
            refused.append((table, f"line {number}: x and y must be numbers"))
            continue
        points[row.image].append(point)
    fields = tuple(FieldFile(path=pictures[name], points=tuple(points[name])) for name in sorted(pictures))
    mpp, source = (CRIC_MPP, "published: CRIC") if is_cric else (None, "unknown")
    return Plan(layout="cric", fields=fields, mpp=mpp, mpp_source=source, refused=tuple(refused))


def category_of(text: str | None) -> str | None:
    """Return a category's id for the word of a public set, other words as they are."""
    text = (text or "").strip()
    return PUBLIC_WORDS.get(text.lower(), text or None)
