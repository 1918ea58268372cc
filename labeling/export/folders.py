"""Crops of the reference labels as `split/category/CELL.png`, as training programs read them."""

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path

from datasets.catalog import crop_path
from labeling.errors import LabelingError
from labeling.export.rows import Row


def write_image_folder(rows: Iterable[Row], out: Path, home: Path) -> None:
    """Copy each row's crop into the folder of its split and category, and list them in `cells.csv`.

    Raises:
        LabelingError: A crop is missing in the workspace.
    """
    with (out / "cells.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("path", "cell", "slide", "split", "category", "reason"))
        for row in rows:
            name = f"{row['split']}/{row['category']}/{row['cell']}.png"
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(crop_path(home, row["cell"]), target)
            except FileNotFoundError as error:
                raise LabelingError(f"cell {row['cell']}: its picture is missing. Run `cytojepa verify`.") from error
            table.writerow((name, row["cell"], row["slide"], row["split"], row["category"], row["reason"]))
