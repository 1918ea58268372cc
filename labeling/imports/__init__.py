"""Labels in, from tables and from the files of other programs: what fits goes in, the rest is listed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datasets.bethesda import LabelSet
from datasets.db import Database
from labeling.errors import LabelingError, LabelRefused
from labeling.imports.objects import read_json
from labeling.imports.resolve import Found, Resolver
from labeling.imports.store import batches, store_labels
from labeling.imports.tables import read_csv, read_parquet

_READERS: dict[str, Callable[[Path], Iterator[Found]]] = {
    ".csv": read_csv, ".tsv": read_csv, ".txt": read_csv, ".parquet": read_parquet, ".json": read_json,
    ".geojson": read_json,
}  # fmt: skip
_BATCH = 2000


@dataclass(slots=True)
class ImportReport:
    """What became of a file's labels."""

    labels: int = 0
    """New ones."""
    known: int = 0
    """Stored already, from an earlier import or because they never left."""
    derived: int = 0
    """Reference labels, which follow from the others and are left out."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Row or object, and the reason."""


def import_file(
    database: Database, path: Path, *, label_set: LabelSet, annotator: str | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> ImportReport:  # fmt: skip
    """Take labels in from a file, or from a folder of GeoJSON files named by slide.

    Running it again changes nothing. A label that this program exported comes back with its key, its
    annotator and its past; the chain of events tells when it was taken in.

    Args:
        database: The study's database.
        path: CSV, Parquet, GeoJSON, COCO or Label Studio.
        label_set: The study's answers.
        annotator: Whose labels they become; None: the file's own annotators, else "imported".
        on_progress: Called with the rows read so far.

    Raises:
        LabelingError: The file is none of these formats.
    """
    resolver, report = Resolver(database, label_set, annotator), ImportReport()
    done = 0
    for batch in batches(_read(path), _BATCH):
        _take(database, resolver, batch, report)
        done += len(batch)
        on_progress(done)
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
    for found in _read(path):
        try:
            label = resolver.label(found)
        except LabelRefused as refusal:
            refused.append((found.where, str(refusal)))
        else:
            cells.append((label.cell_id, label.category))
    return cells, refused


def _read(path: Path) -> Iterator[Found]:
    if path.is_dir():
        for file in sorted(path.glob("*.geojson")):
            for found in read_json(file):
                yield Found(where=f"{file.name}, {found.where}", values=found.values, changed_from=found.changed_from)
        return
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise LabelingError(f"{path.name}: the ending tells no format; known are {', '.join(_READERS)}.")
    yield from reader(path)


def _take(database: Database, resolver: Resolver, batch: tuple[Found, ...], report: ImportReport) -> None:
    labels, places = [], []
    for found in batch:
        if found.values.get("kind") in ("reference", "opinion"):
            report.derived += 1
            continue
        try:
            labels.append(resolver.label(found))
            places.append(found.where)
        except LabelRefused as refusal:
            report.refused.append((found.where, str(refusal)))
    stored = store_labels(database, labels)
    report.labels += stored.new
    report.known += stored.known
    report.refused += [(places[place], reason) for place, reason in stored.refused.items()]
