"""GeoJSON (RFC 7946) as QuPath reads it: a point for each label, in level-0 pixels, with class and colour.

QuPath keeps what stands under `metadata` when it saves, so a label comes back with its history.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from math import isfinite
from pathlib import Path
from typing import IO, Any

from labeling.export.rows import Row, Study
from labeling.export.stream import dumps

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "cytojepa:label")
_GREY = (128, 128, 128)


def write_geojson(rows: Iterable[Row], out: Path, study: Study) -> None:
    """Write all rows as one FeatureCollection; `metadata.slide` tells the slides apart."""
    with out.open("w", encoding="utf-8", newline="\n") as stream:
        _write_features(stream, (feature(row, study) for row in rows))


def write_geojson_folder(rows: Iterable[Row], out: Path, study: Study) -> None:
    """Write one FeatureCollection for each slide, `SLIDE.geojson`; rows come slide by slide."""
    name, is_first = None, True
    with ExitStack() as stack:
        stream: IO[str] | None = None
        for row in rows:
            if row["slide"] != name:
                _end(stream)
                stack.close()
                name, is_first = row["slide"], True
                stream = stack.enter_context((out / f"{name}.geojson").open("w", encoding="utf-8", newline="\n"))
                stream.write(_START)
            assert stream is not None
            stream.write(("" if is_first else ",\n") + dumps(feature(row, study)))
            is_first = False
        _end(stream)


_START = '{"type":"FeatureCollection","features":[\n'


def _end(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.write("\n]}\n")


def _write_features(stream: IO[str], features: Iterator[dict[str, Any]]) -> None:
    stream.write(_START)
    for number, item in enumerate(features):
        stream.write((",\n" if number else "") + dumps(item))
    _end(stream)


def feature(row: Row, study: Study) -> dict[str, Any]:
    """Return one label as a QuPath annotation; a single-cell picture has its point in the middle."""
    category = next((c for c in study.label_set.categories if c.id == row["category"]), None)
    color = _GREY if category is None else tuple(bytes.fromhex(category.color.removeprefix("#")))
    is_single = row["x_px"] is None
    x = (row["width_px"] or 0) / 2 if is_single else row["x_px"]
    y = (row["height_px"] or 0) / 2 if is_single else row["y_px"]
    measured = {"seconds": row["seconds"], "suggestion probability": row["suggestion_probability"]}
    who = row["annotator"] or row["kind"]
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, row["label_key"] or f"{row['kind']}:{row['cell']}")),
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "properties": {
            "objectType": "annotation",
            "name": f"{row['category']} ({who})",
            "classification": {"name": row["category"], "color": list(color)},
            "isLocked": True,
            "measurements": {name: value for name, value in measured.items() if value is not None},
            "metadata": {name: _text(value) for name, value in row.items() if value is not None},
        },
    }  # fmt: skip


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return dumps(value)
    return repr(value)  # what JSON writes for a number, ten times as fast
