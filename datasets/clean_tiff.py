"""SVS, NDPI and plain TIFF slides without a person: what is not on the list is gone, pixels stay byte for byte.

Kept are the pages that are levels of the scan, and of their tags those that decoding needs: all of them numbers.
Label, macro and thumbnail pictures, descriptions, dates, names, serial numbers, EXIF, XMP and colour profiles are not
copied. Comments inside the compressed tiles are overwritten with zeros, so that lengths stay as they are.

Runs inside the sandbox's child; it says which bytes go where, writing is its parent's business.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from datasets.errors import UnreadableFile
from datasets.tiff_layout import (  # fmt: skip
    HEADER_BYTES,
    MOST_CLASSIC_BYTES,
    ByteOrder,
    Entry,
    TiffKind,
    directories,
    header,
    numbers,
)

CLEANED_FORMATS = ("aperio", "hamamatsu", "generic-tiff")
"""Formats of which clean copies can be made byte for byte."""
ZEROS = -1
"""Start of a range that is filled with zeros."""

_MOST_PAGES = 4096
_KEPT = frozenset({
    254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 322, 323, 324, 325, 338, 339,
    347, 529, 530, 531, 532, 32997,
})  # fmt: skip
"""Sizes, compression, colours, resolution, places of the pixels, JPEG tables (TIFF 6.0; 32997: depth of Aperio)."""
_KEPT_NDPI = frozenset({65420, 65421, 65422, 65423, 65424, 65425, 65426, 65432})
"""Version, magnification, place on the glass, focal plane, places of the JPEG's parts."""
_OFFSETS, _LENGTHS = (324, 273), (325, 279)
_TEXT_TAGS = {270: "description", 305: "software", 306: "date", 315: "artist", 316: "host computer", 700: "XMP",
              33432: "copyright", 33723: "IPTC", 34377: "Photoshop block", 34665: "EXIF", 34675: "colour profile",
              34853: "GPS", 65427: "reference text", 65442: "scanner id", 65449: "property list"}  # fmt: skip
_APERIO_FACT = re.compile(r"\|\s*(AppMag|MPP)\s*=\s*(\d{1,3}(?:\.\d{1,6})?)\s*(?=\||$)")
_SEGMENTED = (7, 33003, 33004, 33005, 34712)
"""Compressions whose tiles begin with marker segments: JPEG and JPEG 2000."""
_OLD_JPEG = 6
_FIRST_HEAD, _LONGEST_HEAD = 2048, 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanTiff:
    """How a clean copy is put together: `prefix`, the ranges of the original, `suffix`."""

    prefix: bytes
    ranges: NDArray[np.int64]
    """Start and length in the original, shape (N, 2); start `ZEROS`: so many zeros."""
    suffix: bytes
    suffix_name: str
    """Of the copy's file: ".svs", ".ndpi" or ".tif"."""
    removed: Counter[str]


@dataclass(slots=True)
class _Pixels:
    """The pixels of all pages, in the order in which they are copied."""

    source: BinaryIO
    size: int
    position: int
    ranges: list[list[int]] = field(default_factory=list)
    places: dict[tuple[int, int], int] = field(default_factory=dict)
    copied: int = 0
    comments: int = 0

    def place(self, start: int, length: int, *, has_segments: bool) -> int:
        """Return where a piece of the original will lie in the copy; equal pieces share a place.

        Raises:
            UnreadableFile: The piece is not inside the file, or pieces overlap.
        """
        if length == 0:
            return 0
        if not 0 < start <= start + length <= self.size:
            raise UnreadableFile("cut off: its pixels end in the middle")
        if (start, length) not in self.places:
            self.places[start, length] = self.position
            self.copied += length
            if self.copied > self.size:
                raise UnreadableFile("damaged: its tiles overlap")
            at = start
            for offset, count in self._texts(start, length) if has_segments else ():
                self._add(at, start + offset - at)
                self._add(ZEROS, count)
                at = start + offset + count
                self.comments += 1
            self._add(at, start + length - at)
            self.position += length
        return self.places[start, length]

    def _add(self, start: int, length: int) -> None:
        last = self.ranges[-1] if self.ranges else None
        if last and start != ZEROS and last[0] != ZEROS and last[0] + last[1] == start:
            last[1] += length
        elif length:
            self.ranges.append([start, length])

    def _texts(self, start: int, length: int) -> list[tuple[int, int]]:
        for size in (_FIRST_HEAD, _LONGEST_HEAD):
            self.source.seek(start)
            head = self.source.read(min(length, size))
            found = list(text_segments(head))
            if found[-1:] != [(-1, 0)]:
                return found
            if len(head) == length:
                return found[:-1]
        raise UnreadableFile("damaged: a tile that has no end of its header")


def clean_tiff(path: Path, slide_format: str, sizes: Sequence[tuple[int, int]]) -> CleanTiff:
    """Say how to copy a slide without anything that identifies.

    Args:
        path: A TIFF that OpenSlide opens.
        slide_format: One of `CLEANED_FORMATS`.
        sizes: Width and height of its levels.

    Raises:
        UnreadableFile: It is not such a TIFF, or damaged.
    """
    try:
        with path.open("rb") as source, tifffile.TiffFile(source) as tif:
            return _clean(tif, source, path.stat().st_size, slide_format, set(sizes))
    except tifffile.TiffFileError as error:
        raise UnreadableFile("not a TIFF that can be copied without its texts") from error


def _clean(tif: tifffile.TiffFile, source: BinaryIO, size: int, slide_format: str,
           sizes: set[tuple[int, int]]) -> CleanTiff:  # fmt: skip
    order: ByteOrder = "<" if tif.byteorder == "<" else ">"
    is_ndpi = slide_format == "hamamatsu"
    is_big = tif.is_bigtiff or size > MOST_CLASSIC_BYTES
    kind: TiffKind = "ndpi" if is_ndpi else "big" if is_big else "classic"
    pixels = _Pixels(source, size, HEADER_BYTES[kind])
    pages, removed = [], Counter[str]()
    # The number of pages first: a chain of pages that loops hangs what comes after otherwise.
    if len(tif.pages) > _MOST_PAGES:
        raise UnreadableFile(f"{len(tif.pages)} pages, more than any slide has")
    for page in tif.pages:
        if not isinstance(page, tifffile.TiffPage) or not _is_level(page, sizes, is_ndpi=is_ndpi):
            removed["picture beside the scan"] += 1
            continue
        pages.append(_page(page, pixels, slide_format, kind, order, removed))
    if not pages:
        raise UnreadableFile("no page of it is a level of the scan")
    removed["comment inside tiles"] += pixels.comments
    at = pixels.position + pixels.position % 2
    padding = b"\0" * (pixels.position % 2)
    return CleanTiff(
        prefix=header(at, kind, order), ranges=np.array(pixels.ranges, np.int64).reshape(-1, 2),
        suffix=padding + directories(pages, at, kind, order), removed=+removed,
        suffix_name={"aperio": ".svs", "hamamatsu": ".ndpi"}.get(slide_format, ".tif"),
    )  # fmt: skip


def _is_level(page: tifffile.TiffPage, sizes: set[tuple[int, int]], *, is_ndpi: bool) -> bool:
    if is_ndpi:
        return bool(page.tags.valueof(65421, 0) > 0)
    return 322 in page.tags and (page.imagewidth, page.imagelength) in sizes


def _page(page: tifffile.TiffPage, pixels: _Pixels, slide_format: str, kind: TiffKind, order: ByteOrder,
          removed: Counter[str]) -> list[Entry]:  # fmt: skip
    compression = int(page.tags.valueof(259, 1))
    if compression == _OLD_JPEG:
        raise UnreadableFile("compressed as JPEG in the way of 1992, which cannot be copied in parts")
    places = next((code for code in _OFFSETS if code in page.tags), None)
    lengths = next((code for code in _LENGTHS if code in page.tags), None)
    if places is None or lengths is None:
        raise UnreadableFile("a level without places of its pixels")
    starts, counts = (_whole(page.tags[code].value) for code in (places, lengths))
    if len(starts) != len(counts):
        raise UnreadableFile("damaged: not as many places as lengths of tiles")
    if kind == "ndpi" and page.tags.valueof(65426) is not None and _whole(page.tags[65426].value)[0] >= starts[0]:
        raise UnreadableFile("its parts are told by their place in the file, which a copy changes")
    has_segments = compression in _SEGMENTED
    moved = [pixels.place(s, c, has_segments=has_segments) for s, c in zip(starts, counts, strict=True)]
    entries = [numbers(places, moved, kind, order), numbers(lengths, counts, kind, order)]
    for tag in page.tags:
        if tag.code in (places, lengths):
            continue
        is_number = tag.dtype not in (2, 7) or tag.code == 347
        if tag.code in _KEPT | (_KEPT_NDPI if kind == "ndpi" else frozenset()) and is_number:
            entries.append(_entry(tag, pixels.source, order))
        else:
            removed[_TEXT_TAGS.get(tag.code, "other tags")] += 1
    if slide_format == "aperio":
        entries.append(_text(270, _aperio_description(page)))
    elif kind == "ndpi":
        entries.append(_text(271, "Hamamatsu"))
    return entries


def _entry(tag: tifffile.TiffTag, source: BinaryIO, order: ByteOrder) -> Entry:
    """Return a tag of numbers with its bytes as they are; comments in JPEG tables become zeros.

    Raises:
        UnreadableFile: The file ends before the tag does.
    """
    source.seek(tag.valueoffset)
    value = bytearray(source.read(tag.valuebytecount))
    if len(value) != tag.valuebytecount:
        raise UnreadableFile("cut off: its directory ends in the middle")
    if tag.code == 347:
        for start, length in text_segments(bytes(value)):
            if start >= 0:
                value[start : start + length] = bytes(length)
    return Entry(code=tag.code, type=int(tag.dtype), count=int(tag.count), value=bytes(value))


def _whole(value: object) -> list[int]:
    return [int(item) for item in np.atleast_1d(np.asarray(value))]


def _text(code: int, text: str) -> Entry:
    value = text.encode("ascii") + b"\0"
    return Entry(code=code, type=2, count=len(value), value=value)


def _aperio_description(page: tifffile.TiffPage) -> str:
    """Return the description by which OpenSlide knows an SVS, with magnification and scale and nothing else."""
    told = dict(_APERIO_FACT.findall(str(page.tags.valueof(270, ""))))
    facts = "".join(f"|{name} = {told[name]}" for name in ("AppMag", "MPP") if name in told)
    tile = f"({page.tilewidth}x{page.tilelength})"
    return f"Aperio Image Library\r\n{page.imagewidth}x{page.imagelength} {tile}{facts}"


def text_segments(head: bytes) -> Iterator[tuple[int, int]]:
    """Find what can hold words before the pixels of a JPEG (ITU T.81, B.2) or JPEG 2000 codestream (T.800, A).

    Args:
        head: The first bytes of a stream.

    Yields:
        Start and length of the content of comments and of application segments beyond the plain JFIF and Adobe
        ones; (-1, 0) at the end if the header is longer than `head`.
    """
    if head[:2] not in (b"\xff\xd8", b"\xff\x4f"):
        return
    at = 2
    while at + 4 <= len(head):
        marker = head[at + 1]
        if head[at] != 0xFF or marker in (0xD9, 0xDA, 0x90):
            return
        if marker == 0xFF:
            at += 1
            continue
        size = int.from_bytes(head[at + 2 : at + 4], "big")
        content = head[at + 4 : at + 2 + size]
        is_plain = (content[:5] == b"JFIF\0" and size == 16) or (content[:5] == b"Adobe" and size == 14)
        if size > 2 and (marker in (0xFE, 0x64) or (0xE0 <= marker <= 0xEF and not is_plain)):
            if at + 2 + size > len(head):
                break
            yield at + 4, size - 2
        at += 2 + max(size, 2)
    if head[-2:] != b"\xff\xd9":
        yield -1, 0
