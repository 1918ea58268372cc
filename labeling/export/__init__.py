"""Labels out: one query, one file for each format. The same database gives the same bytes."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy.orm import Session

from datasets.bethesda import LabelSet
from datasets.db import Database
from datasets.extensions import Registry
from datasets.files import sha256_of_file, sync_file, sync_files, sync_folder
from labeling.errors import LabelingError
from labeling.export.coco import write_coco
from labeling.export.delimited import write_csv
from labeling.export.dicom import write_dicom_folder
from labeling.export.folders import write_image_folder
from labeling.export.geojson import write_geojson, write_geojson_folder
from labeling.export.groups import groups_of
from labeling.export.labelstudio import write_labelstudio
from labeling.export.packing import pack
from labeling.export.parquet import write_parquet
from labeling.export.rows import Kind, Row, Selection, Study, iter_labels, iter_references, most_rows
from labeling.export.said import iter_opinions, iter_verdicts
from labeling.export.shards import write_shards

Stage = Literal["rows", "packed", "checked"]
"""What is counted: rows written; files packed into the ZIP; files brought to the disk and hashed."""
ProgressCallback = Callable[[Stage, int, int], None]
"""Called with the stage, how much of it is done, and how much there is at most."""
_TOLD_EVERY = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """How labels are written."""

    write: Callable[..., None]
    """Called with rows (`rows.Row`), a path that does not exist yet (or an empty folder) and the `Study`."""
    kinds: tuple[Kind, ...] = ("label",)
    """What it holds unless something else is asked for."""
    is_current_only: bool = True
    is_by_cell: bool = False
    is_folder: bool = False
    needs_place: bool = False
    """Leaves out single-cell pictures, which lie nowhere on a slide."""


EVERYTHING = Selection()
_OF_CELLS: tuple[Kind, ...] = ("label", "reference")
"""Rows that every format can hold; the others stand in tables only."""
FORMATS: Registry[Format] = Registry("export", Format, {
    "csv": Format(write=write_csv, kinds=EVERYTHING.kinds, is_current_only=False),
    "parquet": Format(write=write_parquet, kinds=EVERYTHING.kinds, is_current_only=False),
    "coco": Format(write=write_coco),
    "geojson": Format(write=write_geojson),
    "labelstudio": Format(write=write_labelstudio, is_by_cell=True),
    "dicom-ann": Format(write=write_dicom_folder, is_by_cell=True, is_folder=True, needs_place=True),
    "imagefolder": Format(write=write_image_folder, kinds=("reference",), is_by_cell=True, is_folder=True),
    "webdataset": Format(write=write_shards, kinds=("reference",), is_by_cell=True, is_folder=True),
})  # fmt: skip
"""The formats by name; the names are stable."""
_GEOJSON_FOLDER = Format(write=write_geojson_folder, is_by_cell=True, is_folder=True)
ZIP = ".zip"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What was written."""

    rows: int
    files: tuple[Path, ...]
    sha256: str
    """Of the file's bytes; of several files, of the lines `sha256  name` in the order of the names."""


def export_labels(
    database: Database, format_name: str, out: Path, *, label_set: LabelSet, crop_px: int = 256,
    selection: Selection = EVERYTHING, patients: Path | None = None,
    on_progress: ProgressCallback = lambda stage, done, total: None,
) -> ExportReport:  # fmt: skip
    """Write labels and reference labels with where they come from.

    CSV and Parquet hold all labels, those that were taken back too, reference labels, what was said of slides and
    verdicts; the other formats the current labels, `imagefolder` and `webdataset` the reference labels. Memory does
    not grow with the number of labels (for `dicom-ann`: of a slide); what is written appears whole or not at all.

    Args:
        database: The study's database.
        format_name: One of `FORMATS`.
        out: The file, replaced atomically; for `imagefolder`, `webdataset` and `dicom-ann`, and for `geojson`
            without an ending, a folder that does not exist or is empty; where that folder's name ends in
            `.zip`, a ZIP of it, replaced atomically.
        label_set: Named in every row.
        crop_px: Side of the study's crops in pixels.
        selection: Which rows.
        patients: CSV with the columns slide and patient, for a split by patient; see `groups_of`.
        on_progress: Called every 500 rows or files, and at the end of each stage.

    Raises:
        LabelingError: An unknown format, rows that it cannot hold, or a folder that is not empty.
        OSError: The file cannot be written.
    """
    if format_name not in FORMATS:
        raise LabelingError(f"format {format_name}: there are {', '.join(FORMATS)}.")
    chosen = FORMATS[format_name]
    if format_name == "geojson" and out.suffix in ("", ZIP):
        chosen = _GEOJSON_FOLDER
    selection = _narrow(chosen, selection)
    groups = groups_of(database, patients)
    is_packed = chosen.is_folder and out.suffix == ZIP
    digests: dict[str, bytes] | None = {} if chosen.is_folder and not is_packed else None
    study = Study(label_set=label_set, crop_px=crop_px, groups=groups, home=database.folder, digests=digests)
    if chosen.is_folder and not is_packed and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LabelingError(f"{out}: is not an empty folder. Nothing is overwritten; choose another name.")
    with (
        scratch_beside(out) as scratch, database.read() as session,
        closing(_rows(session, study, selection, chosen)) as rows,
    ):  # fmt: skip
        counted = _Counted(rows, most_rows(session, selection), on_progress)
        draft = scratch / "draft"
        if chosen.is_folder:
            draft.mkdir()
        chosen.write(iter(counted), draft, study)
        if is_packed:
            names = _names_in(draft)
            pack(draft, _told(names, "packed", on_progress), scratch / "packed")
            draft = scratch / "packed"
        return _finish(draft, out, counted.count, digests or {}, on_progress)


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """Yield a folder beside a file that is to be made, gone afterwards; those of killed processes go first."""
    out.parent.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-{os.getpid()}-", dir=out.parent) as scratch:
        yield Path(scratch)


def _sweep(out: Path) -> None:
    """Remove what killed exports of the same name have left; those that still run keep theirs."""
    pattern = re.compile(re.escape(f".{out.name}-") + r"(\d+)-[^-]+")
    for path in out.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and path.is_dir() and not Path("/proc", match[1]).exists() and Path("/proc/self").exists():
            shutil.rmtree(path, ignore_errors=True)


def _narrow(chosen: Format, selection: Selection) -> Selection:
    is_current = chosen.is_current_only or selection.is_current_only
    kinds = selection.kinds if selection.kinds != EVERYTHING.kinds else chosen.kinds
    # A reference label belongs to nobody: who asks for somebody's labels gets those.
    kinds = ("label",) if selection.annotators and kinds == ("reference",) else kinds
    strange = [kind for kind in kinds if kind not in (*_OF_CELLS, *chosen.kinds)]
    if strange:
        raise LabelingError(f"rows {', '.join(strange)}: this format holds labels of cells; take csv or parquet.")
    return replace(selection, is_current_only=is_current, kinds=kinds)


def _rows(session: Session, study: Study, selection: Selection, chosen: Format) -> Generator[Row, None, None]:
    for row in _all_rows(session, study, selection, chosen):
        if not chosen.needs_place or row["x_px"] is not None:
            yield row


def _all_rows(session: Session, study: Study, selection: Selection, chosen: Format) -> Iterator[Row]:
    if "label" in selection.kinds:
        yield from iter_labels(session, study, selection, by_cell=chosen.is_by_cell)
    # A reference label belongs to no annotator: it is not asked for where one annotator's labels are.
    if "reference" in selection.kinds and not selection.annotators:
        yield from iter_references(session, study, selection)
    if "opinion" in selection.kinds:
        yield from iter_opinions(session, study, selection)
    if "verdict" in selection.kinds:
        yield from iter_verdicts(session, study, selection)


class _Counted:
    """Counts what passes, and tells."""

    def __init__(self, rows: Iterator[Row], total: int, on_progress: ProgressCallback) -> None:
        self._rows, self._total, self._on_progress, self.count = rows, total, on_progress, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            if self.count % _TOLD_EVERY == 0:
                self._on_progress("rows", self.count, max(self.count, self._total))
            yield row
        self._on_progress("rows", self.count, self.count)


def _told(names: Sequence[str], stage: Stage, on_progress: ProgressCallback) -> Iterator[str]:
    """Yield the names of files that something is done to, and tell."""
    for number, name in enumerate(names):
        if number % _TOLD_EVERY == 0:
            on_progress(stage, number, len(names))
        yield name
    on_progress(stage, len(names), len(names))


def _names_in(folder: Path) -> list[str]:
    """Return a folder's files, sorted; as plain texts, because 100,000 paths of crops are 70 MB."""
    found = ((os.path.relpath(place, folder), files) for place, _, files in os.walk(folder))
    return sorted(name if place == "." else f"{place}/{name}" for place, files in found for name in files)


def _finish(
    draft: Path, out: Path, rows: int, digests: Mapping[str, bytes], on_progress: ProgressCallback
) -> ExportReport:
    """Put the finished file or folder in its place, and say what it is."""
    if draft.is_dir():
        names = _names_in(draft)
        on_progress("checked", 0, len(names))
        sync_files(draft, names)
        listed = hashlib.sha256()
        for name in _told(names, "checked", on_progress):
            known = digests.get(name)
            digest = sha256_of_file(draft / name) if known is None else known.hex()
            listed.update(f"{digest}  {name}\n".encode())
        digest, files = listed.hexdigest(), tuple(out / name for name in names)
        if out.exists():
            out.rmdir()
        shutil.copymode(out.parent, draft)
    else:
        on_progress("checked", 0, 1)
        sync_file(draft)
        digest, files = sha256_of_file(draft), (out,)
        on_progress("checked", 1, 1)
    draft.replace(out)
    sync_folder(out.parent)
    return ExportReport(rows=rows, files=files, sha256=digest)
