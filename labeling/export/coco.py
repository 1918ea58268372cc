"""COCO (Lin et al. 2014): one annotation for each label, its box the square that the doctor saw, in level-0 pixels.

All columns of the row are kept under `cytojepa`, which other programs ignore.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from labeling.export.rows import Row, Study
from labeling.export.stream import dumps, write_list


def write_coco(rows: Iterable[Row], out: Path, study: Study) -> None:
    """Write rows as one COCO file; images are named as in the workspace."""
    images: dict[str, dict[str, Any]] = {}
    numbers = {category_id: number for number, category_id in enumerate(study.label_set.ids, start=1)}
    with out.open("w", encoding="utf-8", newline="\n") as stream:
        info = {"description": "CytoJEPA: labels for research use only", "label_set": study.label_set.id}
        stream.write(f'{{"info":{dumps(info)},\n"licenses":[],\n"annotations":')
        write_list(stream, _annotations(rows, images, numbers))
        stream.write(',\n"images":')
        write_list(stream, images.values())
        stream.write(f',\n"categories":{dumps(_categories(numbers, study))}}}\n')


def _categories(numbers: dict[str, int], study: Study) -> list[dict[str, Any]]:
    groups = {category.id: category.group for category in study.label_set.categories}
    return [{"id": number, "name": name, "supercategory": groups.get(name, "")} for name, number in numbers.items()]


def _annotations(
    rows: Iterable[Row], images: dict[str, dict[str, Any]], numbers: dict[str, int]
) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, start=1):
        image = _image(row, images)
        x, y, width, height = _box(row)
        # A label of an earlier label set still leaves, as one more category.
        category = numbers.setdefault(row["category"], len(numbers) + 1)
        yield {
            "id": number, "image_id": image["id"], "category_id": category, "bbox": [x, y, width, height],
            "area": width * height, "iscrowd": 0, "cytojepa": row,
        }  # fmt: skip


def _image(row: Row, images: dict[str, dict[str, Any]]) -> dict[str, Any]:
    is_single = row["x_px"] is None
    name = row["cell"] if is_single else row["slide"]
    if name not in images:
        width, height = ("width_px", "height_px") if is_single else ("slide_width_px", "slide_height_px")
        images[name] = {
            "id": len(images) + 1,
            "file_name": f"crops/{name[-2:]}/{name}.png" if is_single else f"slides/{name}.png",
            "width": row[width], "height": row[height], "split": row["split"],
        }  # fmt: skip
    return images[name]


def _box(row: Row) -> tuple[float, float, float, float]:
    width, height = row["width_px"] or 0, row["height_px"] or 0
    if row["x_px"] is None:
        return 0, 0, width, height
    return row["x_px"] - width / 2, row["y_px"] - height / 2, width, height
