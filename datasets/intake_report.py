"""How an ingest is done, and what it did."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ProgressCallback = Callable[[int, int], None]
Keep = Literal["refer", "copy", "move"]
"""What becomes of scans: they stay where they are and are referred to; or a clean copy comes into the study; or after
that the original is removed. DICOM is copied in any case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestOptions:
    """How crops are cut."""

    side_um: float
    """Side of a crop in micrometres."""
    side_px: int
    """Side of a crop in pixels."""
    mpp: float | None = None
    """Scale in um/px of files that do not tell; None: what the known set publishes, else unknown."""
    mpp_wins: bool = False
    """The given scale also counts for scans whose file tells another."""
    keep: Keep = "refer"


@dataclass(slots=True)
class IngestReport:
    """What an ingest did and what it could not."""

    slides: int = 0
    """New slides (fields, or groups of single-cell pictures)."""
    cells: int = 0
    """New cells."""
    labels: list[tuple[str, str]] = field(default_factory=list)
    """(cell id, category) that came with the files, new or known; the caller stores them."""
    refused: list[tuple[Path, str]] = field(default_factory=list)
    """Files that could not be taken in, with the reason."""
    notes: list[tuple[Path, str]] = field(default_factory=list)
    """What the operator must know of a slide that was taken in: repairs, odd colours, planes."""
    removed: Counter[str] = field(default_factory=Counter)
    """Kinds of identifying content that stayed behind, and in how many slides."""
    fields_without_scale: int = 0
    scaled: int = 0
    """Fields and scans that were there without a scale, or with a wrong one, and have the given one now."""
    referred: int = 0
    """Scans that are read where they are, with their label pictures and texts."""
    moved: int = 0
    """Files that were removed after their clean copy was whole."""
    mpp: float | None = None
    mpp_source: str = "unknown"

    def add(self, other: "IngestReport") -> None:
        """Add what the ingest of another part of the same plan did."""
        self.slides += other.slides
        self.scaled += other.scaled
        self.cells += other.cells
        self.labels += other.labels
        self.refused += other.refused
        self.notes += other.notes
        self.removed.update(other.removed)
        self.fields_without_scale += other.fields_without_scale
        self.referred += other.referred
        self.moved += other.moved
        self.mpp, self.mpp_source = other.mpp, other.mpp_source
