"""Where things lie in a TIFF that is written anew: pixels first, then the directories (TIFF 6.0, section 2).

Three kinds: classic (offsets of 32 bits), big (64, as libtiff writes it), and Hamamatsu's own (classic, with the
upper halves of 64-bit offsets behind each directory; seen from the bytes of its files). Knows no pixels.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TiffKind = Literal["classic", "big", "ndpi"]
ByteOrder = Literal["<", ">"]

HEADER_BYTES: dict[TiffKind, int] = {"classic": 8, "big": 16, "ndpi": 12}
SHORT, LONG, LONG8 = 3, 4, 16
MOST_CLASSIC_BYTES = (1 << 32) - (1 << 20)
"""Larger files need 64-bit offsets; some room is left for the directories."""
_LOW = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One tag of a directory."""

    code: int
    type: int
    count: int
    value: bytes
    """Packed in the file's byte order."""
    high: int = 0
    """Upper half of a single offset or length; in Hamamatsu's kind only."""


def numbers(code: int, values: Sequence[int], kind: TiffKind, order: ByteOrder, *, type_: int | None = None) -> Entry:
    """Return a tag of whole numbers, in LONG or, in big files, LONG8 unless a type is given.

    Args:
        code: The tag.
        values: Its numbers.
        kind: Classic or big TIFF.
        order: Of the bytes.
        type_: TIFF's number of the type.

    Raises:
        ValueError: A number does not fit.
    """
    chosen = type_ or (LONG8 if kind == "big" else LONG)
    if kind == "ndpi" and len(values) == 1:
        value = struct.pack(f"{order}I", values[0] & _LOW)
        return Entry(code=code, type=chosen, count=1, value=value, high=values[0] >> 32)
    letter = {SHORT: "H", LONG: "I", LONG8: "Q"}[chosen]
    try:
        value = struct.pack(f"{order}{len(values)}{letter}", *values)
    except struct.error as error:
        raise ValueError(f"tag {code}: a number does not fit into {8 if letter == 'Q' else 4} bytes") from error
    return Entry(code=code, type=chosen, count=len(values), value=value)


def header(first_directory: int, kind: TiffKind, order: ByteOrder) -> bytes:
    """Return the first bytes of the file, `HEADER_BYTES[kind]` of them."""
    mark = b"II" if order == "<" else b"MM"
    if kind == "big":
        return mark + struct.pack(f"{order}HHHQ", 43, 8, 0, first_directory)
    if kind == "ndpi":
        return mark + struct.pack(f"{order}HQ", 42, first_directory)
    return mark + struct.pack(f"{order}HI", 42, first_directory)


def directories(pages: Sequence[Sequence[Entry]], at: int, kind: TiffKind, order: ByteOrder) -> bytes:
    """Return the directories of all pages with their values, to be written at an even place of the file.

    Args:
        pages: The tags of each page.
        at: Where in the file they will begin.
        kind: Of the file.
        order: Byte order.

    Raises:
        ValueError: The file is too large for its kind.
    """
    parts = []
    for number, entries in enumerate(pages):
        is_last = number == len(pages) - 1
        part = _directory(sorted(entries, key=lambda entry: entry.code), at, kind, order, is_last=is_last)
        parts.append(part)
        at += len(part)
    if kind == "classic" and at > _LOW:
        raise ValueError("more than 4 GB: a classic TIFF cannot hold it")
    return b"".join(parts)


def _directory(entries: Sequence[Entry], at: int, kind: TiffKind, order: ByteOrder, *, is_last: bool) -> bytes:
    room = 8 if kind == "big" else 4
    ends = {"classic": 4, "big": 8, "ndpi": 8 + 4 * len(entries)}
    size = (8 if kind == "big" else 2) + len(entries) * (20 if kind == "big" else 12) + ends[kind]
    values_at = at + size + size % 2
    rows, values, highs = bytearray(), bytearray(), []
    for entry in entries:
        rows += struct.pack(f"{order}HH{'Q' if kind == 'big' else 'I'}", entry.code, entry.type, entry.count)
        if len(entry.value) <= room:
            rows += entry.value.ljust(room, b"\0")
            highs.append(entry.high)
        else:
            place = values_at + len(values)
            rows += struct.pack(f"{order}{'Q' if kind == 'big' else 'I'}", place if kind == "big" else place & _LOW)
            highs.append(place >> 32)
            values += entry.value + b"\0" * (len(entry.value) % 2)
    following = 0 if is_last else values_at + len(values)
    count = struct.pack(f"{order}{'Q' if kind == 'big' else 'H'}", len(entries))
    link = struct.pack(f"{order}{'I' if kind == 'classic' else 'Q'}", following)
    if kind == "ndpi":
        link += struct.pack(f"{order}{len(highs)}I", *highs)
    return count + bytes(rows) + link + b"\0" * (size % 2) + bytes(values)
