"""GeoJSON, COCO, Label Studio's and CRIC's JSON. The file's structure tells which it is, not its name.

What this program wrote comes back with its past; what another program wrote or changed comes as a
new label.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labeling.errors import LabelingError
from labeling.imports.foreign import Json, as_dict, as_list, numbers_in, told_by
from labeling.imports.resolve import Found
from labeling.imports.tasks import read_tasks

_MOST_BYTES = 1 << 30
_INTENSITIES = {"positive", "negative", "1+", "2+", "3+"}
"""How strongly a cell is stained, in QuPath's nested classes: there "Negative" does not mean NILM."""


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
    if isinstance(content, dict) and content.get("type") == "Feature":  # QuPath's export of one object
        return _features([content], path.stem)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _coco(content)
    if isinstance(content, list) and all(isinstance(item, dict) and item.get("type") == "Feature" for item in content):
        return _features(content, path.stem)
    if isinstance(content, list) and any(isinstance(item, dict) and "classifications" in item for item in content):
        return _cric(content)
    if isinstance(content, list) and any(isinstance(item, dict) and "data" in item for item in content):
        return read_tasks(content)
    raise LabelingError(
        f"{path.name}: neither GeoJSON nor COCO nor CRIC nor tasks of Label Studio (its export JSON, not JSON-MIN)."
    )


def _features(features: list[Any], stem: str) -> Iterator[Found]:
    for number, item in enumerate(features, start=1):
        yield from _feature(f"object {number}", as_dict(item), stem)


def _feature(where: str, item: Json, stem: str) -> Iterator[Found]:
    """Yield the labels of an object and of those inside it, which QuPath writes where it is asked for the hierarchy."""
    properties = as_dict(item.get("properties"))
    told = as_dict(properties.get("metadata"))
    place = {"slide": told.get("slide") or properties.get("slide") or stem}
    category, parts = _class_of(properties.get("classification", properties.get("label")))
    # Of a cell QuPath knows its outline and that of its nucleus, which the study's cells are centred on.
    points = _points(as_dict(item.get("nucleusGeometry") or item.get("geometry")))
    if properties.get("objectType") != "root":
        for number, (x, y) in enumerate(points, start=1):
            here = where if len(points) == 1 else f"{where}, point {number}"
            there = place if told.get("cell") else {**place, "x_px": x, "y_px": y}
            yield told_by(here, told, category, {**there, **({"classes": parts} if parts else {})})
    children = properties.get("childObjects", properties.get("children"))
    for number, child in enumerate(children if isinstance(children, list) else [], start=1):
        yield from _feature(f"{where}, child {number}", as_dict(child), stem)


def _class_of(kind: Any) -> tuple[str | None, list[str]]:
    """Return an object's class and its parts: QuPath nests classes, "HSIL: Positive" or names ["HSIL", "Positive"]."""
    if isinstance(kind, dict):
        names = kind.get("names")
        kind = ": ".join(map(str, names)) if isinstance(names, list) and names else kind.get("name")
    word = None if kind is None else str(kind)
    parts = [] if word is None or ": " not in word else word.split(": ")
    return word, [part for part in parts if part.casefold() not in _INTENSITIES]


def _points(geometry: Json) -> list[tuple[float | None, float | None]]:
    """Return the places that a geometry marks: each of several points (QuPath's tool for counting), else its middle."""
    coordinates = geometry.get("coordinates")
    if geometry.get("type") == "MultiPoint" and isinstance(coordinates, list) and coordinates:
        return [_centre(point) for point in coordinates]
    if geometry.get("type") == "GeometryCollection":
        coordinates = [as_dict(part).get("coordinates") for part in as_list(geometry.get("geometries"))]
    return [_centre(coordinates)]


def _centre(coordinates: Any) -> tuple[float | None, float | None]:
    """Return the middle of an outline, whatever its kind; what lies behind x and y is a height, and not asked for."""
    xs, ys, rest = [], [], [coordinates]
    while rest:
        value = rest.pop()
        if not isinstance(value, list):
            continue
        place = numbers_in(value[:2])
        if len(place) == 2:
            xs.append(place[0])
            ys.append(place[1])
        else:
            rest += value
    return ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2) if xs else (None, None)


def _coco(content: Json) -> Iterator[Found]:
    images, names = _by_id(content.get("images"), "file_name"), _by_id(content.get("categories"), "name")
    for item in map(as_dict, content["annotations"]):
        place: Json = {"image": images.get(str(item.get("image_id")))}
        box = numbers_in(as_list(item.get("bbox")))
        if len(box) == 4:
            place |= {"x_px": box[0] + box[2] / 2, "y_px": box[1] + box[3] / 2}
        elif outlines := [numbers_in(as_list(part)) for part in as_list(item.get("segmentation"))]:
            pairs = [[x, y] for outline in outlines for x, y in zip(outline[::2], outline[1::2], strict=False)]
            place["x_px"], place["y_px"] = _centre(pairs)
        told = as_dict(item.get("cytojepa"))
        category = names.get(str(item.get("category_id")))
        yield told_by(f"annotation {item.get('id')}", told, category, {} if told else place)


def _by_id(items: Any, name: str) -> dict[str, Any]:
    """Return one value of each item by its id, which programs write as a number or as a text."""
    return {str(item.get("id")): item.get(name) for item in map(as_dict, as_list(items))}


def _cric(images: list[Any]) -> Iterator[Found]:
    """Yield the points of CRIC's own JSON (Rezende et al. 2021): pixels of the picture as it is distributed."""
    for image in map(as_dict, images):
        for number, item in enumerate(map(as_dict, as_list(image.get("classifications"))), start=1):
            values = {"image": image.get("image_name"), "category": item.get("bethesda_system"),
                      "x_px": item.get("nucleus_x"), "y_px": item.get("nucleus_y")}  # fmt: skip
            yield Found(where=f"image {image.get('image_id')}, cell {item.get('cell_id', number)}", values=values)
