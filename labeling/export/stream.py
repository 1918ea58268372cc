"""JSON objects with long lists, written item by item."""

import json
from collections.abc import Iterable
from typing import IO, Any

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dumps(value: Any) -> str:
    """Return one line of JSON; the same value gives the same bytes."""
    return _ENCODER.encode(value)


def write_list(stream: IO[str], items: Iterable[Any]) -> None:
    """Write a JSON list, one item a line."""
    stream.write("[")
    for number, item in enumerate(items):
        stream.write(",\n" if number else "\n")
        stream.write(dumps(item))
    stream.write("\n]")
