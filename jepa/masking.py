"""Which patches the context encoder sees and which the predictor must guess. Numpy only.

Multi-block masking, I-JEPA (Assran et al. 2023, section 3 and table 6). Differs from the published
sampler, whose faults are measured: the last row and column are reachable, scale and aspect are two
draws, every image has its own block shapes, and equal lengths come from a random subset instead of
the first indices. Lengths are few and fixed for a grid (`mask_lengths`), whatever the batch: memory
has no surprises, and a compiled network sees few shapes. Vectorised over the batch.

Shapes: `B` images, `R` drawn candidates, `M` target blocks per image, `K` context patches, `L`
patches of a target block, `N` patches of the grid.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jepa.config import RunConfig
from jepa.errors import MaskError

NUM_LENGTHS = 3
"""Different pairs of lengths; each step draws one."""
SHORT_SHARE = 0.15
"""Share of images whose context would be shorter than the fixed length; they are drawn again."""
MOST_SHORT_SHARE = 0.9
"""With a larger share the grid counts as too small."""
SPARE_SHARE = 0.3
"""Share of extra candidates, so that one round of draws usually suffices."""
MAX_ROUNDS = 100
"""Rounds of draws; at worst one in ten candidates fits, so that running out is a chance of 1e-4000."""
TRIALS = 2048
"""Images drawn to find the lengths of a grid."""
MASK_STREAM = 1
"""Keeps the chance of masks apart from other uses of the same seed."""

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskConfig:
    """Sizes of the blocks; defaults are the paper's. Scales are shares of the grid's area."""

    num_targets: int = 4
    """Target blocks per image; they may overlap each other, never the context."""
    target_scale: tuple[float, float] = (0.15, 0.2)
    """Smallest and largest area of a target block."""
    target_aspect: tuple[float, float] = (0.75, 1.5)
    """Smallest and largest height over width of a target block."""
    context_scale: tuple[float, float] = (0.85, 1.0)
    """Smallest and largest area of the context block, which has the grid's own aspect."""
    min_context: int = 4
    """Fewest patches that a context may keep."""

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Return the sizes that a run's options ask for."""
        return cls(
            num_targets=config.num_targets, target_scale=config.target_scale, target_aspect=config.target_aspect,
            context_scale=config.context_scale, min_context=config.min_context,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Masks:
    """Row-major patch indices, ascending within a row.

    `context` has shape (B, K), `targets` (M, B, L), both int64.
    """

    context: Indices
    targets: Indices


def mask_generator(seed: int, step: int) -> np.random.Generator:
    """Return the source of chance for the masks of one step.

    Processes that train together draw the masks of the whole step and take their own rows, so that
    every process has other masks, all have equal lengths, and their number does not change the run.

    Args:
        seed: The run's seed.
        step: The optimiser step, from 0; a resumed run repeats nothing.
    """
    return np.random.default_rng([seed, MASK_STREAM, step])


def sample_masks(
    grid: tuple[int, int], config: MaskConfig, batch_size: int, generator: np.random.Generator,
    rows: slice = slice(None),
) -> Masks:  # fmt: skip
    """Draw one context and several target blocks for every image of a batch.

    Args:
        grid: Rows and columns of patches, for example (14, 14); the two may differ.
        config: Sizes of the blocks.
        batch_size: Images of the whole step.
        generator: The only source of chance; equal states give equal masks.
        rows: Which images' masks to return.

    Returns:
        Masks whose contexts share no patch with the image's own targets; K and L are one of the
        pairs of `mask_lengths`.

    Raises:
        MaskError: The grid is too small: the blocks leave fewer than `config.min_context` patches.
    """
    lengths = mask_lengths(grid, config)
    context_length, target_length = lengths[generator.integers(len(lengths))]
    contexts, targets, missing = list[Flags](), list[Flags](), batch_size
    for _ in range(MAX_ROUNDS):
        targets_RMN, context_RN = _draw(grid, config, target_length, math.ceil(missing * (1 + SPARE_SHARE)), generator)
        fitting = np.flatnonzero(context_RN.sum(axis=1) >= context_length)[:missing]
        contexts.append(context_RN[fitting])
        targets.append(targets_RMN[fitting])
        missing -= len(fitting)
        if not missing:
            break
    else:
        raise MaskError(f"{missing} of {batch_size} masks do not fit a grid of {grid[0]} x {grid[1]}.", grid=grid)
    context_BN, targets_BMN = np.concatenate(contexts), np.concatenate(targets)
    return Masks(
        context=random_subset(context_BN, context_length, generator, rows),
        targets=random_subset(targets_BMN, target_length, generator, rows).transpose(1, 0, 2),
    )


@lru_cache(maxsize=32)
def mask_lengths(grid: tuple[int, int], config: MaskConfig) -> tuple[tuple[int, int], ...]:
    """Return the pairs (K, L) of context and target lengths that masks of this grid can have.

    L runs over the target scale; K is what all but the shortest contexts reach beside such targets,
    found by a trial that is the same everywhere.

    Raises:
        MaskError: The grid is too small.
    """
    area = grid[0] * grid[1]
    wanted = {max(1, round(area * share)) for share in np.linspace(*config.target_scale, NUM_LENGTHS)}
    pairs, best = list[tuple[int, int]](), 0
    for target_length in sorted(wanted):
        _, context_RN = _draw(grid, config, target_length, TRIALS, np.random.default_rng([area, target_length]))
        sizes = context_RN.sum(axis=1)
        usual = int(np.quantile(sizes, SHORT_SHARE))
        best = max(best, usual)
        context_length = max(usual, config.min_context)
        if (sizes < context_length).mean() <= MOST_SHORT_SHARE:
            pairs.append((context_length, target_length))
    if not pairs:
        raise MaskError(
            f"a grid of {grid[0]} x {grid[1]} patches leaves {best} patches for the "
            f"context, at least {config.min_context} are needed; use a larger image_px, a smaller "
            "patch_px, or fewer or smaller targets.",
            grid=grid,
        )
    return tuple(pairs)


def _draw(
    grid: tuple[int, int], config: MaskConfig, target_length: int, count: int, generator: np.random.Generator
) -> tuple[Flags, Flags]:
    """Draw target blocks (R, M, N) and what the context blocks have outside of them (R, N)."""
    shape = (count, config.num_targets)
    low, high = np.log(config.target_aspect)
    aspects = np.exp(generator.uniform(low, high, shape))
    # The smallest block of this aspect that holds the fixed number of patches.
    lowest, highest = math.ceil(target_length / grid[1]), min(grid[0], target_length)
    heights = np.clip(np.rint(np.sqrt(target_length * aspects)), lowest, highest).astype(np.int64)
    targets_RMN = place_blocks(grid, heights, -(-target_length // heights), generator)
    sides = np.sqrt(generator.uniform(*config.context_scale, (count,)))
    tall, wide = (np.clip(np.rint(sides * side), 1, side).astype(np.int64) for side in grid)
    return targets_RMN, place_blocks(grid, tall, wide, generator) & ~targets_RMN.any(axis=1)


def place_blocks(grid: tuple[int, int], heights: Indices, widths: Indices, generator: np.random.Generator) -> Flags:
    """Put blocks of some heights and widths, shape (...), anywhere inside the grid: (..., N). The end is included."""
    tops = generator.integers(0, grid[0] - heights, endpoint=True)[..., None]
    lefts = generator.integers(0, grid[1] - widths, endpoint=True)[..., None]
    rows = np.arange(grid[0])
    columns = np.arange(grid[1])
    in_rows = (rows >= tops) & (rows < tops + heights[..., None])
    in_columns = (columns >= lefts) & (columns < lefts + widths[..., None])
    blocks = in_rows[..., :, None] & in_columns[..., None, :]
    return blocks.reshape(*heights.shape, grid[0] * grid[1])


def random_subset(flags: Flags, length: int, generator: np.random.Generator, rows: slice = slice(None)) -> Indices:
    """Choose `length` set places of each row at random; shape (..., length), ascending."""
    keys = generator.random(flags.shape, dtype=np.float32)[rows]
    keys[~flags[rows]] = 2.0
    chosen = np.argpartition(keys, length - 1, axis=-1)[..., :length]
    return np.sort(chosen, axis=-1)
