"""Damaged files for tests: seeded changes of whole ones, and files that are made to hurt a decoder."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pydicom
from PIL import Image

from tests.slide_files import dicom_slide


def mutate(whole: bytes, generator: np.random.Generator) -> bytes:
    """Change a file a little: bytes, blocks, its end, or a tag of a TIFF."""
    data = bytearray(whole)
    kind = generator.integers(5)
    if kind == 0:
        for place in generator.integers(0, len(data), generator.integers(1, 9)):
            data[place] = generator.integers(256)
    elif kind == 1:
        start = int(generator.integers(0, len(data)))
        length = int(generator.integers(1, 400))
        data[start : start + length] = bytes([int(generator.choice([0, 255]))]) * len(data[start : start + length])
    elif kind == 2:
        del data[int(generator.integers(0, len(data))) :]
    elif kind == 3:
        for place in generator.integers(0, min(len(data), 2048), generator.integers(1, 6)):
            data[place] = generator.integers(256)
    else:
        _mutate_tag(data, generator)
    return bytes(data)


def _mutate_tag(data: bytearray, generator: np.random.Generator) -> None:
    """Set the count or the value of one tag of a classic little-endian TIFF to something extreme."""
    entries = list(_tags(data)) if data[:4] == b"II*\0" else []
    if not entries:
        data[int(generator.integers(len(data)))] ^= 0xFF
        return
    place = entries[int(generator.integers(len(entries)))] + int(generator.choice([4, 8]))
    value = int(generator.choice([0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF, 65535, len(data) - 2, 8]))
    data[place : place + 4] = struct.pack("<I", value)


def _tags(data: bytes) -> Iterator[int]:
    (offset,) = struct.unpack_from("<I", data, 4)
    seen: set[int] = set()
    while offset and offset not in seen and offset + 2 < len(data):
        seen.add(offset)
        (count,) = struct.unpack_from("<H", data, offset)
        if offset + 6 + 12 * count > len(data):
            return
        yield from range(offset + 2, offset + 2 + 12 * count, 12)
        (offset,) = struct.unpack_from("<I", data, offset + 2 + 12 * count)


def bombs(svs: bytes) -> dict[str, bytes]:
    """Return files of a few kilobytes that abort, hang or fill careless programs.

    Args:
        svs: A whole SVS to make some of them from.
    """
    small = Image.fromarray(np.full((64, 64, 3), 200, np.uint8))
    png = io.BytesIO()
    small.save(png, "PNG")
    return {
        "empty": b"",
        "text.svs": b"this is no slide\n" * 40,
        "png of 4e9 pixels": _png_of(png.getvalue(), 65_000, 65_000),
        "png of 90 million pixels": _flat_png(9_400),
        "svs with a tile of 2^31 rows": _with_tag(svs, 323, 0x7FFFFFFF),
        "svs with a tile of 2^31 columns": _with_tag(svs, 322, 0x7FFFFFFF),
        "svs of 4e9 rows": _with_tag(svs, 257, 0xFFFFFFF0),
        "svs whose pages loop": _looping(svs),
        "dicom of 65535 x 65535": _huge_dicom(),
        "dicom nested 3000 deep": _nested_dicom(),
        "half a dicom": _dicom()[:3000],
        "riff": b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\xff" * 200,
        "bmp of 2^31 pixels": _huge_bmp(),
    }  # fmt: skip


def _png_of(png: bytes, width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:]


def _flat_png(side: int) -> bytes:
    """One bit for each pixel, all the same: a hundred kilobytes that become hundreds of megabytes."""
    row = b"\0" + bytes(-(-side // 8))
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(row * side, 9)
    chunks = (head, body, b"IEND")
    parts = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    data = bytearray(tiff)
    for place in _tags(data):
        if struct.unpack_from("<H", data, place)[0] == tag:
            data[place + 2 : place + 12] = struct.pack("<HII", 4, 1, value)
            break
    return bytes(data)


def _looping(tiff: bytes) -> bytes:
    data = bytearray(tiff)
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    data[first + 2 + 12 * count : first + 6 + 12 * count] = struct.pack("<I", first)
    return bytes(data)


def _dicom(**changes: object) -> bytes:
    header = dicom_slide(np.full((256, 256, 3), 210, np.uint8), mpp=0.25)
    for keyword, value in changes.items():
        setattr(header, keyword, value)
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _huge_bmp() -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 46340, 46340, 1, 24, *[0] * 6)


def _huge_dicom() -> bytes:
    size = {"Rows": 65535, "Columns": 65535, "TotalPixelMatrixColumns": 65535, "TotalPixelMatrixRows": 65535}
    return _dicom(**size, NumberOfFrames=1)


def _nested_dicom() -> bytes:
    start = struct.pack("<HH2sHI", 0x0040, 0x0555, b"SQ", 0, 0xFFFFFFFF)
    start += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    meta = pydicom.dcmread(io.BytesIO(_dicom()))
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, _only_meta(meta), enforce_file_format=True)
    return stream.getvalue() + start * 3000


def _only_meta(header: pydicom.Dataset) -> pydicom.Dataset:
    bare = pydicom.dataset.FileDataset("", {}, file_meta=header.file_meta, preamble=b"\0" * 128)
    bare.SOPClassUID, bare.SOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return bare
