"""WebDataset: tar shards of crops, one sample a cell, as training programs stream them.

    train-000000.tar   CELL.png  the crop
                       CELL.cls  the category's number, from 0, in the order of `dataset.json`
                       CELL.json the row with all that explains the label
    dataset.json       categories in order, shards and samples of each split

A sample's key is the cell; a label of another annotator has `-2`, `-3`, ... behind it. Members carry
no time and no owner: the same study gives the same bytes.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from labeling.errors import LabelingError
from labeling.export.folders import crop_of
from labeling.export.rows import SPLITS, Row, Study
from labeling.export.stream import dumps

INDEX = "dataset.json"
_SAMPLES_PER_SHARD = 2000
"""About 100 to 200 MB of crops, as the WebDataset documentation advises for one reader."""


def write_shards(rows: Iterable[Row], out: Path, study: Study) -> None:
    """Write rows, which come cell by cell, as `SPLIT-000000.tar`; no slide is in two splits.

    Raises:
        LabelingError: A crop is missing in the workspace.
    """
    numbers = {category: number for number, category in enumerate(study.label_set.ids)}
    splits = {name: _Split(out, name, study.digests) for name in SPLITS}
    cell, copies = None, 0
    try:
        for row in rows:
            copies = copies + 1 if row["cell"] == cell else 1
            cell = row["cell"]
            key = cell if copies == 1 else f"{cell}-{copies}"
            # A label of an earlier label set still leaves, behind the others.
            number = numbers.setdefault(row["category"], len(numbers))
            splits[row["split"]].add(key, {
                "png": crop_of(row, study), "cls": str(number).encode(), "json": dumps(row).encode(),
            })  # fmt: skip
    finally:
        for split in splits.values():
            split.close()
    index = {
        "label_set": study.label_set.id, "categories": list(numbers),
        "splits": {name: {"shards": split.names, "samples": split.samples} for name, split in splits.items()},
    }  # fmt: skip
    (out / INDEX).write_text(json.dumps(index, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


@dataclass(slots=True)
class _Split:
    """The shards of one split; one is open at a time."""

    out: Path
    name: str
    digests: dict[str, bytes] | None
    names: list[str] = field(default_factory=list)
    samples: int = 0
    _open: IO[bytes] | None = None
    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, key: str, parts: dict[str, bytes]) -> None:
        if self.samples % _SAMPLES_PER_SHARD == 0:
            self.close()
            self.names.append(f"{self.name}-{len(self.names):06d}.tar")
            self._open = (self.out / self.names[-1]).open("wb")
        assert self._open is not None
        self.samples += 1
        for ending, content in parts.items():
            self._write(b"".join(_member(f"{key}.{ending}", content)))

    def _write(self, content: bytes) -> None:
        assert self._open is not None
        self._open.write(content)
        if self.digests is not None:
            self._hash.update(content)

    def close(self) -> None:
        if self._open is not None:
            # Two empty blocks end it, and records are whole, as POSIX has it.
            size = self._open.tell() + 2 * tarfile.BLOCKSIZE
            self._write(bytes(2 * tarfile.BLOCKSIZE + -size % tarfile.RECORDSIZE))
            self._open.close()
            self._open = None
            if self.digests is not None:
                self.digests[self.names[-1]] = self._hash.digest()
                self._hash = hashlib.sha256()


def _member(name: str, content: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a member's header (USTAR), its bytes, and what fills up its last block.

    The bytes of `tarfile`, whose own way makes every field of every header anew: a quarter of an export's CPU time.

    Raises:
        LabelingError: The name is too long for a header.
    """
    encoded, size = name.encode("ascii"), f"{len(content):011o}".encode("ascii")
    if len(encoded) > tarfile.LENGTH_NAME:
        raise LabelingError(f"{name}: more than {tarfile.LENGTH_NAME} characters, which is the most in a shard.")
    header = bytearray(_HEADER)
    header[: len(encoded)] = encoded
    header[_SIZE] = size
    header[_CHECKSUM] = f"{sum(header):06o}\0 ".encode("ascii")
    return bytes(header), content, bytes(-len(content) % tarfile.BLOCKSIZE)


def _empty_header() -> bytes:
    member = tarfile.TarInfo()
    member.mode = 0o644
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    header[_CHECKSUM] = b" " * 8  # so it is summed up
    return bytes(header)


_SIZE, _CHECKSUM = slice(124, 135), slice(148, 156)
_HEADER = _empty_header()
