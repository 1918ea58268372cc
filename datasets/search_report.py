"""What a search for nuclei was asked for, and what it did."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class FindOptions:
    """How crops are cut, and how many cells a slide may give."""

    side_um: float
    side_px: int
    most_per_mm2: float | None = None
    """Keep only the surest of each tile; None: all."""
    has_grid: bool = True
    """Also offer stained places without a nucleus; within the limit they come last."""


@dataclass(slots=True)
class FindReport:
    """What a search did."""

    slides: int = 0
    """Slides that were searched, wholly or to their end."""
    cells: int = 0
    """New cells, grid places among them."""
    grid: int = 0
    """Stained places without a found nucleus that were offered as cells."""
    crowded: int = 0
    """Tiles with more dark spots than nuclei can be; of those the surest were taken."""
    odd: list[tuple[str, str]] = field(default_factory=list)
    """(slide, sentence) of tiles from which nothing was taken."""
    seconds: float = 0.0
    area_mm2: float = 0.0
    refused: list[tuple[str, str]] = field(default_factory=list)
    """(slide, reason) of what could not be searched."""

    def add(self, other: "FindReport") -> None:
        """Add what another search did; the seconds are not added, as both may have run at once."""
        self.slides += other.slides
        self.cells += other.cells
        self.grid += other.grid
        self.crowded += other.crowded
        self.odd += other.odd
        self.area_mm2 += other.area_mm2
        self.refused += other.refused
