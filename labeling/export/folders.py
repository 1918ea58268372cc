"""Crops as `split/category/CELL.png`, as training programs read them, and a table of where each label is from."""

import csv
import shutil
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
            name = f"{folder}/{row['cell']}.png"
            shutil.copyfile(crop_of(row, study), out / name)
            table.writerow((name, *safe_values(row)))


def crop_of(row: Row, study: Study) -> Path:
    """Return where a row's crop lies.

    Raises:
        LabelingError: It is missing.
    """
    assert study.home is not None
    path = crop_path(study.home, row["cell"])
    if not path.is_file():
        raise LabelingError(f"cell {row['cell']}: its picture is missing. Run `cytojepa verify`.")
    return path
