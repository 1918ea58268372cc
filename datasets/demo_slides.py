"""Drawn slides as files, laid out like a public set: pictures and a table of labelled points."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from datasets.crops import encode_png
from datasets.files import write_atomically
from datasets.synthetic import draw_study

DRAWN_MPP = 0.25
"""Scale of the drawn slides in um/px."""


def write_drawn_slides(
    folder: Path, *, seed: int, num_slides: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:  # fmt: skip
    """Draw a study into a folder that `ingest` reads: `images/*.png` and `cells.csv`.

    Args:
        folder: Made when missing; the same seed writes the same bytes.
        seed: The only source of chance.
        num_slides: How many fields.
        on_progress: Called with (fields done, fields in all).
    """
    rows = []
    for number, slide in enumerate(draw_study(seed, num_slides), start=1):
        name = f"drawn-{number:03d}.png"
        write_atomically(folder / "images" / name, encode_png(slide.image))
        rows += [(name, cell.category, f"{cell.x:.1f}", f"{cell.y:.1f}") for cell in slide.cells]
        on_progress(number, num_slides)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("image", "bethesda_system", "x", "y"))
    table.writerows(rows)
    write_atomically(folder / "cells.csv", text.getvalue().encode())
