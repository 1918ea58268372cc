"""Crops as `split/category/CELL.png`, as training programs read them, and a table of where each label is from."""

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from datasets.catalog import crop_path
from labeling.errors import LabelingError
from labeling.export.delimited import safe_values
from labeling.export.rows import COLUMNS, Row, Study

TABLE = "cells.csv"


def write_image_folder(rows: Iterable[Row], out: Path, study: Study) -> None:
    """Copy each row's crop into the folder of its split and category, and list the rows in `cells.csv`.

    Raises:
        LabelingError: A crop is missing in the workspace.
    """
    with (out / TABLE).open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("path", *COLUMNS))
        made: set[str] = set()
        for row in rows:
            folder = f"{row['split']}/{row['category']}"
            if folder not in made:
                (out / folder).mkdir(parents=True)
                made.add(folder)
            name, content = f"{folder}/{row['cell']}.png", crop_of(row, study)
            with open(f"{out}/{name}", "wb", buffering=0) as picture:  # noqa: PTH123  (paths cost as much as the write)
                picture.write(content)
            if study.digests is not None:
                study.digests[name] = hashlib.sha256(content).digest()
            table.writerow((name, *safe_values(row)))


def crop_of(row: Row, study: Study) -> bytes:
    """Return a row's crop, the bytes of the file in the workspace.

    Raises:
        LabelingError: It is missing.
    """
    assert study.home is not None
    try:
        return crop_path(study.home, row["cell"]).read_bytes()
    except FileNotFoundError as error:
        raise LabelingError(f"cell {row['cell']}: its picture is missing. Run `cytojepa verify`.") from error
