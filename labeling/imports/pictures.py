"""Labels that lie in folders and shards of pictures: our ImageFolder and WebDataset, and class-named folders of others.

In a folder the picture's place tells the category: a picture that somebody has moved to another folder
comes back with that one, one that was deleted does not come back.
"""

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labeling.errors import LabelingError
from labeling.export.folders import TABLE
from labeling.export.rows import SPLITS
from labeling.export.shards import INDEX
from labeling.imports.resolve import Found, normal_word
from labeling.imports.tables import read_csv

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
_MOST_JSON_BYTES = 1 << 20


def is_of_pictures(path: Path) -> bool:
    """Return whether a path holds labels as pictures: shards, or a folder of neither GeoJSON nor DICOM."""
    if path.is_dir():
        return not any(path.glob("*.geojson")) and not any(path.glob("*.dcm"))
    return path.suffix.lower() == ".tar"


def read_picture_folder(folder: Path) -> Iterator[Found]:
    """Yield a label for each picture of an ImageFolder, or of any folder of class-named folders.

    Raises:
        LabelingError: There is no picture in it, and it is no export without labels.
    """
    rows: dict[str, list[Found]] = defaultdict(list)
    is_empty = not (folder / INDEX).is_file()
    if (folder / TABLE).is_file():
        is_empty = False
        for found in read_csv(folder / TABLE):
            rows[str(found.values.get("cell"))].append(found)
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file()):
        is_empty = False
        place = path.relative_to(folder)
        yield from _labels_of(path, place, rows.get(path.stem, []))
    if is_empty:
        raise LabelingError(f"{folder.name}: no picture, no shard and no GeoJSON in it.")


def _labels_of(path: Path, place: Path, told: list[Found]) -> Iterator[Found]:
    parts = [part for part in place.parts[:-1] if part not in SPLITS]
    category = parts[0] if parts else None
    where = place.as_posix()
    same = [found for found in told if category is not None and _is_same(found.values.get("category"), category)]
    if same:
        yield from (Found(where=where, values=found.values) for found in same)
    elif told:
        before = str(told[0].values.get("category"))
        yield Found(where=where, values={**told[0].values, "category": category}, changed_from=before)
    else:
        yield Found(where=where, values={"image": path.name, "file": path, "category": category})


def _is_same(first: object, second: str) -> bool:
    return first is not None and normal_word(str(first)) == normal_word(second)


def read_shards(path: Path) -> Iterator[Found]:
    """Yield the label of each sample of a WebDataset shard, or of all shards of a folder.

    Raises:
        LabelingError: It is no tar file, or no sample of it tells its label.
    """
    is_told, is_empty = False, True
    for shard in sorted(path.glob("*.tar")) if path.is_dir() else [path]:
        try:
            with tarfile.open(shard, "r:") as archive:
                for member in archive:
                    is_empty = False
                    if member.isfile() and member.name.endswith(".json"):
                        is_told = True
                        yield _sample(archive, member, shard.name)
        except tarfile.TarError as error:
            raise LabelingError(f"{shard.name}: not a tar file that can be read ({error}).") from error
    if not (is_told or is_empty):
        raise LabelingError(f"{path.name}: no sample has a .json that tells cell and category; numbers alone do not.")


def _sample(archive: tarfile.TarFile, member: tarfile.TarInfo, shard: str) -> Found:
    where = f"{shard}, {member.name}"
    stream = archive.extractfile(member) if member.size <= _MOST_JSON_BYTES else None
    content: Any = None
    if stream is not None:
        try:
            content = json.loads(stream.read())
        except (ValueError, RecursionError):
            content = None
    values = content if isinstance(content, dict) else {}
    return Found(where=where, values=values if "cell" in values else {"image": member.name.partition(".")[0], **values})
