"""Points of one slide from a GeoJSON file, as QuPath writes it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.errors import LayoutError
from datasets.public import Plan, Point, category_of


def with_points(found: Plan, path: Path) -> Plan:
    """Return the plan of one slide with the points of a GeoJSON file in it.

    GeoJSON as QuPath writes it: level-0 pixels, y down; a polygon counts as the middle of its box.
    The category is `classification.name`, `label` or `category` of the properties.

    Args:
        found: A plan whose files are one slide; DICOM instances of one slide may be several files.
        path: The GeoJSON file.

    Raises:
        LayoutError: The file is not a GeoJSON FeatureCollection, or the plan is a set with its own points.
    """
    if found.layout != "slides":
        raise LayoutError(f"--points goes with one slide, and this is a set of the layout {found.layout}.")
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        points = tuple(_geojson_point(feature) for feature in features)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise LayoutError(f"{path}: not a GeoJSON FeatureCollection of points or polygons.") from error
    files = tuple(replace(file, points=points) for file in found.fields if file.path.resolve() != path.resolve())
    return replace(found, fields=files)


def _geojson_point(feature: Any) -> Point:
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    corners = geometry["coordinates"]
    while isinstance(corners[0], list) and isinstance(corners[0][0], list):
        corners = corners[0]
    if not isinstance(corners[0], list):
        corners = [corners]
    xs, ys = [float(corner[0]) for corner in corners], [float(corner[1]) for corner in corners]
    word = (properties.get("classification") or {}).get("name") or properties.get("label") or properties.get("category")
    return Point(x=(min(xs) + max(xs)) / 2, y=(min(ys) + max(ys)) / 2, category=category_of(word))
