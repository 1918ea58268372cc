"""What the sandbox's child answers: checked values of a process that is not trusted."""

import json
import math
import mmap
import os
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from datasets.errors import UnreadableFile

SUFFIXES = (".svs", ".ndpi", ".tif")
_HEADER_BYTES = 1 << 18
_LINE_BYTES = 1 << 12
_CHUNK_BYTES = 1 << 20
_MOST_BYTES = 1 << 28


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomPart:
    """What puts DICOM instances (PS3.3 A.32.8) of one slide together."""

    series: str
    is_wsi: bool
    flavor: str
    size: tuple[int, int]
    concatenation: str
    frame: str = ""
    """Frame of reference: the glass."""
    z_um: float = 0.0
    """Its first focal plane."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanHeader:
    """A DICOM instance's header without a person; see `deidentify`."""

    header: bytes
    pixels: tuple[int, int]
    """First byte and end of the pixels' element in the original."""
    removed: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanTiff:
    """How a slide is copied without its texts and other pictures; see `clean_tiff`."""

    prefix: bytes
    ranges: NDArray[np.int64]
    """Start and length in the original, shape (N, 2); a start below zero: so many zeros."""
    suffix: bytes
    suffix_name: str
    removed: dict[str, int]

    @classmethod
    def from_answer(cls, facts: Mapping[str, Any], content: bytes, size: int) -> Self:
        """Return the child's answer.

        Args:
            facts: Its header.
            content: Prefix, ranges and suffix one after the other.
            size: Of the original in bytes: nothing beyond it is copied, and no more than it holds.

        Raises:
            ValueError: It does not add up. KeyError and TypeError for what is missing.
        """
        start, count, name = int(facts["prefix"]), int(facts["ranges"]), str(facts["name"])
        end = start + 16 * count
        if not 0 < start <= end < len(content) or name not in SUFFIXES:
            raise ValueError("lengths that do not add up")
        ranges = np.frombuffer(content[start:end], "<i8").reshape(-1, 2).astype(np.int64)
        if (ranges[:, 1] <= 0).any() or (ranges.max(initial=0) > size) or (ranges.sum(axis=1) > size).any():
            raise ValueError("ranges beyond the file")
        if ranges[:, 1].sum() > size:
            raise ValueError("more than the file holds")
        removed = {str(word): int(n) for word, n in facts["removed"].items()}
        return cls(prefix=content[:start], ranges=ranges, suffix=content[end:], suffix_name=name, removed=removed)


class Answers:
    """The answers of a child: a line of JSON each, then bytes where it says so, unless they lie in shared memory.

    Args:
        pipe: File number of the child's output.
        shared: Memory that it may write, None without one.
        most_pixels: The largest picture that it may send.
    """

    def __init__(self, pipe: int, shared: mmap.mmap | None, *, most_pixels: int) -> None:
        self._pipe, self._shared, self._most_pixels = pipe, shared, most_pixels
        self._buffer = b""
        self._waiting = select.poll()
        self._waiting.register(pipe, select.POLLIN)

    def receive(self, deadline: float) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
        """Return the next answer: its facts; pixels of shape (H, W, 3), or other bytes as one row, or None.

        Args:
            deadline: On the monotonic clock.

        Raises:
            UnreadableFile: The child's reason.
            ValueError: It does not add up.
            TimeoutError: It took too long.
            EOFError: The child is gone.
        """
        while b"\n" not in self._buffer:
            self._buffer += self._read_some(deadline, _LINE_BYTES)
            if b"\n" not in self._buffer and len(self._buffer) > _HEADER_BYTES:
                raise ValueError("no header")
        line, self._buffer = self._buffer.split(b"\n", 1)
        header = json.loads(line)
        if "reason" in header:
            raise UnreadableFile(str(header["reason"]))
        shape: tuple[int, ...]
        if "shape" in header:
            height, width, channels = (int(n) for n in header["shape"])
            shape = (height, width, 3)
            if channels != 3 or not 0 < height * width <= self._most_pixels:
                raise ValueError("impossible shape")
            if header.get("shared") is True:
                return header, self._shared_pixels(shape)
        elif "bytes" in header:
            shape = (int(header["bytes"]),)
            if not 0 < shape[0] <= _MOST_BYTES:
                raise ValueError("impossible length")
        else:
            return header, None
        parts, length, wanted = [self._buffer], len(self._buffer), math.prod(shape)
        while length < wanted:
            parts.append(self._read_some(deadline, _CHUNK_BYTES))
            length += len(parts[-1])
        pixels = b"".join(parts)
        self._buffer = pixels[wanted:]
        return header, np.frombuffer(pixels[:wanted], np.uint8).reshape(shape)

    def _shared_pixels(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        # A copy, because the child may change the shared memory at any time.
        if self._shared is None or math.prod(shape) > len(self._shared):
            raise ValueError("impossible shape")
        return np.frombuffer(self._shared, np.uint8, math.prod(shape)).reshape(shape).copy()

    def _read_some(self, deadline: float, most: int) -> bytes:
        if not self._waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        chunk = os.read(self._pipe, most)
        if not chunk:
            raise EOFError
        return chunk
