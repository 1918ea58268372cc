"""GeoJSON, COCO, Label Studio's and CRIC's JSON. The file's structure tells which it is, not its name.

What this program wrote comes back with its past; what another program wrote or changed comes as a
new label.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labeling.errors import LabelingError
from labeling.imports.resolve import Found, normal_word

Json = dict[str, Any]
_MOST_BYTES = 1 << 30


def read_json(path: Path) -> Iterator[Found]:
    """Yield the labels of a JSON file of one of the four kinds.

    Raises:
        LabelingError: Too large, not JSON, or none of the four kinds.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise LabelingError(f"{path.name}: larger than {_MOST_BYTES} bytes. Export it in parts, or as CSV.")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LabelingError(f"{path.name}: not JSON ({error}).") from error
    if isinstance(content, dict) and isinstance(content.get("features"), list):
        return _features(content["features"], path.stem)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _coco(content)
    if isinstance(content, list) and all(isinstance(item, dict) and item.get("type") == "Feature" for item in content):
        return _features(content, path.stem)
    if isinstance(content, list) and any(isinstance(item, dict) and "classifications" in item for item in content):
        return _cric(content)
    if isinstance(content, list):
        return _tasks(content)
    raise LabelingError(f"{path.name}: neither GeoJSON nor COCO nor CRIC nor tasks of Label Studio.")


def _features(features: list[Any], stem: str) -> Iterator[Found]:
    for number, item in enumerate(features, start=1):
        properties = _dict(_dict(item).get("properties"))
        told = _dict(properties.get("metadata"))
        kind = properties.get("classification", properties.get("label"))
        category = _dict(kind).get("name") if isinstance(kind, dict) else kind
        x, y = _centre(_dict(_dict(item).get("geometry")))
        place = {"slide": told.get("slide") or properties.get("slide") or stem, "x_px": x, "y_px": y}
        if told.get("cell"):
            place = {"slide": place["slide"]}
        yield told_by(f"object {number}", told, category, place)


def _centre(geometry: Json) -> tuple[float | None, float | None]:
    """Return the middle of a geometry's outline, whatever its kind."""
    xs, ys, rest = [], [], [geometry.get("coordinates")]
    while rest:
        value = rest.pop()
        if not isinstance(value, list):
            continue
        if len(value) >= 2 and all(isinstance(part, int | float) for part in value[:2]):
            xs.append(value[0])
            ys.append(value[1])
        else:
            rest += value
    return ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2) if xs else (None, None)


def _coco(content: Json) -> Iterator[Found]:
    images = {_dict(image).get("id"): _dict(image).get("file_name") for image in content.get("images", [])}
    names = {_dict(category).get("id"): _dict(category).get("name") for category in content.get("categories", [])}
    for item in map(_dict, content["annotations"]):
        box = item.get("bbox")
        place: Json = {"image": images.get(item.get("image_id"))}
        if isinstance(box, list) and len(box) == 4 and all(isinstance(part, int | float) for part in box):
            place |= {"x_px": box[0] + box[2] / 2, "y_px": box[1] + box[3] / 2}
        told = _dict(item.get("cytojepa"))
        yield told_by(f"annotation {item.get('id')}", told, names.get(item.get("category_id")), {} if told else place)


def _tasks(tasks: list[Any]) -> Iterator[Found]:
    for task in map(_dict, tasks):
        data = _dict(task.get("data"))
        image = str(data.get("image") or "").rpartition("d=")[2]
        place = {"cell": data.get("cell"), "image": image}
        for item in map(_dict, task.get("annotations") or []):
            if item.get("was_cancelled"):
                continue
            where = f"task {task.get('id')}, annotation {item.get('id')}"
            who = item.get("completed_by")
            facts = {"annotator": _dict(who).get("email") or (str(who) if isinstance(who, int | str) else None),
                     "made_at": item.get("created_at"), "seconds": item.get("lead_time")}  # fmt: skip
            told = _dict(item.get("meta"))
            yield told_by(where, told, _choice(item), {**place, **({} if told else facts)})


def _cric(images: list[Any]) -> Iterator[Found]:
    """Yield the points of CRIC's own JSON (Rezende et al. 2021): pixels of the picture as it is distributed."""
    for image in map(_dict, images):
        for number, item in enumerate(map(_dict, image.get("classifications") or []), start=1):
            values = {"image": image.get("image_name"), "category": item.get("bethesda_system"),
                      "x_px": item.get("nucleus_x"), "y_px": item.get("nucleus_y")}  # fmt: skip
            yield Found(where=f"image {image.get('image_id')}, cell {item.get('cell_id', number)}", values=values)


def _choice(annotation: Json) -> str | None:
    for result in map(_dict, annotation.get("result") or []):
        value = _dict(result.get("value"))
        chosen = value.get("choices") or value.get("rectanglelabels") or value.get("keypointlabels")
        if isinstance(chosen, list) and chosen:
            return str(chosen[0])
    return None


def told_by(where: str, told: Json, category: Any, place: Mapping[str, Any]) -> Found:
    """Join what this program wrote with what the other one says: the other one's category counts."""
    before = told.get("category")
    is_changed = before is not None and category is not None and normal_word(str(category)) != normal_word(str(before))
    values = {**place, **told, **({"category": category} if category is not None else {})}
    return Found(where=where, values=values, changed_from=str(before) if is_changed else None)


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
