"""Label Studio's JSON: tasks with annotations, each a choice for the whole picture or one for each region in it."""

import math
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from labeling.imports.foreign import Json, as_dict, as_list, numbers_in, told_by
from labeling.imports.resolve import Found

_LABELS = ("choices", "rectanglelabels", "keypointlabels", "ellipselabels", "polygonlabels", "brushlabels", "labels")
"""Where a result says its class, by the control that it was given with."""


def read_tasks(tasks: list[Any]) -> Iterator[Found]:
    """Yield the labels of all annotators. What an annotator skipped (cancelled) is no label."""
    for task in map(as_dict, tasks):
        data = as_dict(task.get("data"))
        place = {"cell": data.get("cell"), "image": _picture(data)}
        annotations = task.get("annotations", task.get("completions"))  # as it was called before version 1
        if not isinstance(annotations, list):
            yield Found(where=f"task {task.get('id')}", values={**place, "unclear": "it has no list of annotations."})
            continue
        for item in map(as_dict, annotations):
            if not item.get("was_cancelled"):
                yield from _annotation(f"task {task.get('id')}, annotation {item.get('id')}", item, place)


def _annotation(where: str, item: Json, place: Json) -> Iterator[Found]:
    who = item.get("completed_by")
    facts = {"annotator": as_dict(who).get("email") or (str(who) if isinstance(who, int | str) else None),
             "made_at": item.get("created_at"), "seconds": item.get("lead_time")}  # fmt: skip
    told = as_dict(item.get("meta"))
    regions = _regions(as_list(item.get("result")))
    for number, region in enumerate(regions, start=1):
        here = where if len(regions) == 1 else f"{where}, region {number}"
        yield told_by(here, told, region.pop("category", None), {**place, **region, **({} if told else facts)})
    if not regions:
        yield Found(where=where, values={**place, "unclear": "it has no class."})


def _regions(results: list[Any]) -> list[Json]:
    """Return class and place of each region; what several controls say of a region shares its id."""
    regions: dict[str, Json] = {}
    for result in map(as_dict, results):
        value, found = as_dict(result.get("value")), dict[str, Any]()
        chosen = next((as_list(value[name]) for name in _LABELS if as_list(value.get(name))), [])
        if chosen:
            found["category"] = " + ".join(dict.fromkeys(map(str, chosen)))
        x, y = _centre(value, numbers_in([result.get("original_width"), result.get("original_height")]))
        if x is not None:
            found |= {"x_px": x, "y_px": y}
        if found:
            regions.setdefault(str(result.get("id")), {}).update(found)
    return list(regions.values())


def _centre(value: Json, size_px: list[float]) -> tuple[float | None, float | None]:
    """Return a region's middle in pixels; Label Studio writes per cent of the picture."""
    if len(size_px) != 2:
        return None, None
    corners = [numbers_in(as_list(point)) for point in as_list(value.get("points"))]
    if corners and all(len(corner) == 2 for corner in corners):
        xs, ys = zip(*corners, strict=True)
        return (min(xs) + max(xs)) / 200 * size_px[0], (min(ys) + max(ys)) / 200 * size_px[1]
    place = numbers_in([value.get("x"), value.get("y")])
    if not place:
        return None, None
    x, y = place[0] / 100 * size_px[0], place[1] / 100 * size_px[1]
    # x and y are the corner of a box, round which it is turned; of points and ellipses they are the middle.
    half = numbers_in([value.get("width"), value.get("height")]) if "radiusX" not in value else []
    if half and "keypointlabels" not in value:
        across, down = half[0] / 200 * size_px[0], half[1] / 200 * size_px[1]
        turn = math.radians(next(iter(numbers_in([value.get("rotation")])), 0.0))
        x, y = (
            x + across * math.cos(turn) - down * math.sin(turn),
            y + across * math.sin(turn) + down * math.cos(turn),
        )
    return x, y


def _picture(data: Json) -> str:
    """Return the name of a task's picture, whatever its variable is called."""
    texts = [value for value in (data.get("image"), *data.values()) if isinstance(value, str)]
    name = next((text for text in texts if PurePosixPath(text.partition("?")[0]).suffix or "d=" in text), "")
    return name.rpartition("d=")[2]
