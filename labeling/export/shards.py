"""WebDataset: tar shards of crops, one sample a cell, as training programs stream them.

    train-000000.tar   CELL.png  the crop
                       CELL.cls  the category's number, from 0, in the order of `dataset.json`
                       CELL.json the row with all that explains the label
    dataset.json       categories in order, shards and samples of each split

A sample's key is the cell; a label of another annotator has `-2`, `-3`, ... behind it. Members carry
no time and no owner: the same study gives the same bytes.
"""

import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

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
    splits = {name: _Split(out, name) for name in SPLITS}
    cell, copies = None, 0
    try:
        for row in rows:
            copies = copies + 1 if row["cell"] == cell else 1
            cell = row["cell"]
            key = cell if copies == 1 else f"{cell}-{copies}"
            # A label of an earlier label set still leaves, behind the others.
            number = numbers.setdefault(row["category"], len(numbers))
            splits[row["split"]].add(key, {
                "png": crop_of(row, study).read_bytes(), "cls": str(number).encode(), "json": dumps(row).encode(),
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
    names: list[str] = field(default_factory=list)
    samples: int = 0
    _open: tarfile.TarFile | None = None

    def add(self, key: str, parts: dict[str, bytes]) -> None:
        if self.samples % _SAMPLES_PER_SHARD == 0:
            self.close()
            self.names.append(f"{self.name}-{len(self.names):06d}.tar")
            self._open = tarfile.open(self.out / self.names[-1], "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        assert self._open is not None
        self.samples += 1
        for ending, content in parts.items():
            member = tarfile.TarInfo(f"{key}.{ending}")
            member.size, member.mode = len(content), 0o644
            self._open.addfile(member, io.BytesIO(content))
            # The list of members grows with the shard and is needed by readers only.
            self._open.members.clear()  # type: ignore[attr-defined]  # typeshed does not know it

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
