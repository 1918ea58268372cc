"""Which patches the context encoder sees and which the predictor must guess. Numpy only.

Multi-block masking, I-JEPA (Assran et al. 2023, section 3 and table 6). Differs from the published
sampler, whose faults are measured: the last row and column are reachable, scale and aspect are two
draws, every image has its own block sizes, and equal lengths come from a random subset instead of
the first indices. Vectorised over the batch (about 10 us per image); never loops until lucky.

Shapes: `B` images, `R` drawn candidates (a few more than B), `M` target blocks per image,
`K` context patches, `L` patches of a target block, `N` patches of the grid.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jepa.errors import MaskError

SPARE_SHARE = 0.25
"""Share of extra candidates; the ones with the smallest contexts are left out."""
LENGTH_STEPS = 48
"""Lengths are multiples of N / 48: few distinct shapes, so few recompilations and memory peaks."""
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


@dataclass(frozen=True, slots=True)
class Masks:
    """Row-major patch indices, ascending within a row.

    `context` has shape (B, K), `targets` (M, B, L), both int64.
    """

    context: Indices
    targets: Indices


def mask_generator(seed: int, step: int, rank: int) -> np.random.Generator:
    """Return the source of chance for one step of one process.

    Args:
        seed: The run's seed.
        step: The optimiser step, from 0; a resumed run repeats nothing.
        rank: Number of the process, 0 where there is one.
    """
    return np.random.default_rng([seed, MASK_STREAM, step, rank])


def sample_masks(grid: tuple[int, int], config: MaskConfig, batch_size: int, generator: np.random.Generator) -> Masks:
    """Draw one context and several target blocks for every image of a batch.

    A quarter more images than needed are drawn and those with the smallest contexts are dropped,
    so that one unlucky image does not shorten the context of the whole batch.

    Args:
        grid: Rows and columns of patches, for example (14, 14); the two may differ.
        config: Sizes of the blocks.
        batch_size: Images.
        generator: The only source of chance; equal states give equal masks.

    Returns:
        Masks whose contexts share no patch with the image's own targets.

    Raises:
        MaskError: The grid is too small: the blocks leave fewer than `config.min_context` patches.
    """
    candidates = batch_size + math.ceil(batch_size * SPARE_SHARE)
    targets_RMN = _target_blocks(grid, config, candidates, generator)
    context_RN = _context_blocks(grid, config, candidates, generator) & ~targets_RMN.any(axis=1)
    kept = np.sort(np.argsort(-context_RN.sum(axis=1), kind="stable")[:batch_size])
    context_BN = context_RN[kept]
    targets_MBN = targets_RMN[kept].transpose(1, 0, 2)
    length_step = max(1, grid[0] * grid[1] // LENGTH_STEPS)
    context_length = _common_length(context_BN, length_step)
    if context_length < config.min_context:
        raise MaskError(
            f"a grid of {grid[0]} x {grid[1]} patches leaves {context_length} patches for the "
            f"context, at least {config.min_context} are needed; use a larger image_px, a smaller "
            "patch_px, or fewer or smaller targets.",
            grid=grid,
        )
    target_length = _common_length(targets_MBN, length_step)
    return Masks(
        context=_random_subset(context_BN, context_length, generator),
        targets=_random_subset(targets_MBN, target_length, generator),
    )


def _target_blocks(grid: tuple[int, int], config: MaskConfig, count: int, generator: np.random.Generator) -> Flags:
    shape = (count, config.num_targets)
    areas = generator.uniform(*config.target_scale, shape) * (grid[0] * grid[1])
    low, high = np.log(config.target_aspect)
    aspects = np.exp(generator.uniform(low, high, shape))
    heights = _whole(np.sqrt(areas * aspects), grid[0])
    widths = _whole(np.sqrt(areas / aspects), grid[1])
    return _place(grid, heights, widths, generator)


def _context_blocks(grid: tuple[int, int], config: MaskConfig, count: int, generator: np.random.Generator) -> Flags:
    sides = np.sqrt(generator.uniform(*config.context_scale, (count,)))
    return _place(grid, _whole(sides * grid[0], grid[0]), _whole(sides * grid[1], grid[1]), generator)


def _whole(lengths: NDArray[np.float64], largest: int) -> Indices:
    return np.clip(np.rint(lengths), 1, largest).astype(np.int64)


def _place(grid: tuple[int, int], heights: Indices, widths: Indices, generator: np.random.Generator) -> Flags:
    """Put each block anywhere inside the grid; shape (..., N). The end is included."""
    tops = generator.integers(0, grid[0] - heights, endpoint=True)[..., None]
    lefts = generator.integers(0, grid[1] - widths, endpoint=True)[..., None]
    rows = np.arange(grid[0])
    columns = np.arange(grid[1])
    in_rows = (rows >= tops) & (rows < tops + heights[..., None])
    in_columns = (columns >= lefts) & (columns < lefts + widths[..., None])
    blocks = in_rows[..., :, None] & in_columns[..., None, :]
    return blocks.reshape(*heights.shape, grid[0] * grid[1])


def _common_length(flags: Flags, length_step: int) -> int:
    shortest = int(flags.sum(axis=-1).min())
    return shortest // length_step * length_step if shortest > length_step else shortest


def _random_subset(flags: Flags, length: int, generator: np.random.Generator) -> Indices:
    """Choose `length` set places of each row at random; shape (..., length), ascending."""
    keys = generator.random(flags.shape, dtype=np.float32)
    keys[~flags] = 2.0
    chosen = np.argpartition(keys, length - 1, axis=-1)[..., :length]
    return np.sort(chosen, axis=-1)
