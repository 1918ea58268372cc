"""What the sandbox's child answers beside pixels: checked values of a process that is not trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".svs", ".ndpi", ".tif")


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomPart:
    """What puts DICOM instances of one slide together."""

    series: str
    is_wsi: bool
    flavor: str
    size: tuple[int, int]
    concatenation: str


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
