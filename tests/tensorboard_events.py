"""Reads event files without TensorBoard: an oracle for what runs write."""

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def read_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Return each curve as step -> value; a later file replaces the steps of an earlier one."""
    curves: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += 12 + length + 4
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    curves.setdefault(value.tag, {})[event.step] = value.simple_value
    return curves
