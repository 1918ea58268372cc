"""Label Studio's JSON: a task for each cell's picture, an annotation for each doctor's label.

The labelling interface that fits is `<View><Image name="image" value="$image"/><Choices
name="category" toName="image">...</Choices></View>`. The suggestion of the moment in which the cell
was handed out is the task's prediction. A row's columns are kept under `meta`.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from labeling.export.rows import Row, Study
from labeling.export.stream import write_list


def write_labelstudio(rows: Iterable[Row], out: Path, _study: Study) -> None:
    """Write rows, which come cell by cell, as a list of tasks."""
    with out.open("w", encoding="utf-8", newline="\n") as stream:
        write_list(stream, _tasks(rows))
        stream.write("\n")


def _tasks(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    for number, (cell_id, group) in enumerate(groupby(rows, key=lambda row: row["cell"]), start=1):
        labels = list(group)
        first = labels[0]
        yield {
            "id": number,
            "data": {
                "image": f"/data/local-files/?d=crops/{cell_id[-2:]}/{cell_id}.png",
                "cell": cell_id, "slide": first["slide"], "split": first["split"],
                "x_px": first["x_px"], "y_px": first["y_px"],
            },
            "annotations": [_annotation(number, place, row) for place, row in enumerate(labels, start=1)],
            "predictions": _predictions(labels),
        }  # fmt: skip


def _annotation(task: int, place: int, row: Row) -> dict[str, Any]:
    return {
        "id": row["label_id"] or f"{task}-{place}", "completed_by": {"email": row["annotator"] or row["kind"]},
        "created_at": row["made_at"], "lead_time": row["seconds"], "was_cancelled": False,
        "result": [_choice(row["category"], f"r{place}")],
        "meta": {name: value for name, value in row.items() if value is not None},
    }  # fmt: skip


def _predictions(labels: list[Row]) -> list[dict[str, Any]]:
    guesses = {(row["probe"], row["suggestion"]): row for row in labels if row["suggestion"]}
    return [
        {"model_version": row["probe"], "score": row["suggestion_probability"],
         "result": [_choice(row["suggestion"], f"p{place}")]}
        for place, row in enumerate(guesses.values(), start=1)
    ]  # fmt: skip


def _choice(category: str, result_id: str) -> dict[str, Any]:
    return {"id": result_id, "from_name": "category", "to_name": "image", "type": "choices",
            "value": {"choices": [category]}}  # fmt: skip
