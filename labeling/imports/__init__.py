"""Labels in, from tables and from the files of other programs: what fits goes in, the rest is listed."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datasets.bethesda import LabelSet
from datasets.db import Database
from labeling.errors import LabelingError, LabelRefused
from labeling.imports.dicom import read_annotations
from labeling.imports.objects import read_json
from labeling.imports.pictures import PICTURES, is_of_pictures, read_picture_folder, read_shards
from labeling.imports.resolve import Found, Resolver
from labeling.imports.said import SAID, Said, read_said, store_said
from labeling.imports.store import ImportedLabel, batches, store_labels
from labeling.imports.tables import read_csv, read_parquet
from labeling.imports.values import picture_names, refuse_halves

_READERS: dict[str, Callable[[Path], Iterator[Found]]] = {
    ".csv": read_csv, ".tsv": read_csv, ".txt": read_csv, ".parquet": read_parquet, ".json": read_json,
    ".geojson": read_json, ".tar": read_shards,
}  # fmt: skip
_BATCH = 2000


@dataclass(slots=True)
class ImportReport:
    """What became of a file's labels."""

    labels: int = 0
    """New ones."""
    said: int = 0
    """New opinions on slides and verdicts."""
    known: int = 0
    """Rows that are stored already, from an earlier import or because they never left."""
    derived: int = 0
    """Reference labels, which follow from the others and are left out."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Row or object, and the reason."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Columns of which nothing was taken in, with the number of rows that say something in them."""


def import_file(
    database: Database, path: Path, *, label_set: LabelSet, annotator: str | None = None,
    secret_key: bytes | None = None, on_progress: Callable[[int], None] = lambda done: None,
) -> ImportReport:  # fmt: skip
    """Take labels in from a file, or from a folder of GeoJSON files, DICOM objects, shards or class-named folders.

    Running it again changes nothing. A label that this program exported comes back with its key, its
    annotator and its past, as do opinions on slides and verdicts; the chain of events tells when it was taken in.
    Reference labels follow from the others and are left out, unless a folder or shards of pictures are given to a
    named annotator.

    Args:
        database: The study's database.
        path: CSV, Parquet, GeoJSON, COCO, Label Studio, CRIC's JSON, DICOM annotations, WebDataset, ImageFolder.
        label_set: The study's answers.
        annotator: Whose labels they become; None: the file's own annotators, else "imported".
        secret_key: The study's key: by it a picture beside a table, or in a class-named folder, is known by its bytes.
        on_progress: Called with the rows read so far.

    Raises:
        LabelingError: The file is none of these formats.
    """
    resolver, report = Resolver(database, label_set, annotator, secret_key), ImportReport()
    done = 0
    for batch in batches(_read(path, label_set), _BATCH):
        _take(database, resolver, batch, report, takes_references=annotator is not None and is_of_pictures(path))
        done += len(batch)
        on_progress(done)
    report.left_out = resolver.left_out
    return report


def cells_of_file(
    database: Database, path: Path, *, label_set: LabelSet
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the cells of the study that a file names, with their category, and what was refused with the reason.

    Args:
        database: The study's database.
        path: CSV, Parquet, GeoJSON, COCO or Label Studio; nothing of it is stored.
        label_set: The study's answers.

    Raises:
        LabelingError: The file is none of these formats.
    """
    resolver, cells, refused = Resolver(database, label_set, None), [], []
    for found in _read(path, label_set):
        try:
            refuse_halves(found.values, found.changed_from)
            label = resolver.label(found)
        except LabelRefused as refusal:
            refused.append((found.where, str(refusal)))
        else:
            cells.append((label.cell_id, label.category))
    return cells, refused


def _read(path: Path, label_set: LabelSet) -> Iterator[Found]:
    if path.is_dir():
        yield from _read_folder(path, label_set)
        return
    if path.suffix.lower() == ".dcm":
        yield from read_annotations(path, label_set)
        return
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise LabelingError(f"{path.name}: the ending tells no format; known are {', '.join(_READERS)}, .dcm.")
    pictures = _Pictures(path.parent)
    for found in reader(path):
        file = pictures.named(found.values.get("image"))
        yield found if file is None else replace(found, values={**found.values, "file": file})


def _read_folder(path: Path, label_set: LabelSet) -> Iterator[Found]:
    geojson = sorted(path.glob("*.geojson"))
    for file in geojson:
        for found in read_json(file):
            yield replace(found, where=f"{file.name}, {found.where}")
    if geojson:
        return
    if any(path.glob("*.tar")):
        yield from read_shards(path)
    elif any(path.glob("*.dcm")):
        yield from read_annotations(path, label_set)
    else:
        yield from read_picture_folder(path)


class _Pictures:
    """The pictures beside a table, by name: their bytes tell the slide, whose name the study does not know."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] | None = None

    def named(self, name: Any) -> Path | None:
        """Return the picture that a row names, with or without its folder and ending."""
        if not isinstance(name, str) or not name.strip():
            return None
        if self._files is None:
            beside = (self._folder, *(child for child in sorted(self._folder.iterdir()) if child.is_dir()))
            files = [f for folder in beside for f in sorted(folder.iterdir()) if f.suffix.lower() in PICTURES]
            self._files = {name: file for file in files for name in (file.stem, file.name)}
        return next((self._files[one] for one in picture_names(name) if one in self._files), None)


def _take(
    database: Database, resolver: Resolver, batch: tuple[Found, ...], report: ImportReport, *, takes_references: bool
) -> None:
    labels: list[tuple[str, ImportedLabel]] = []
    said: list[tuple[str, Said]] = []
    for found in batch:
        kind = found.values.get("kind")
        where = found.where.encode(errors="replace").decode()
        if kind == "reference" and not takes_references:
            report.derived += 1
            continue
        try:
            refuse_halves(found.values, found.changed_from)
            if kind in SAID:
                said.append((where, read_said(resolver, found)))
            else:
                labels.append((where, resolver.label(found)))
        except LabelRefused as refusal:
            report.refused.append((where, str(refusal)))
    stored = store_labels(database, [label for _, label in labels])
    others = store_said(database, [one for _, one in said])  # a verdict names labels: they come first
    report.labels += stored.new
    report.said += others.new
    report.known += stored.known + others.known
    report.refused += [(labels[place][0], reason) for place, reason in stored.refused.items()]
    report.refused += [(said[place][0], reason) for place, reason in others.refused.items()]
