"""Target blocks where there are cells: most of a smear is empty glass.

Masks of a picture depend on the picture and on (seed, step, row) alone, so that a resumed run and
any number of processes draw the same ones. Numpy only.

`B` pictures, `M` target blocks, `K` context patches, `L` patches of a target, `N` patches.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.detection import foreground_mask
from jepa.errors import MaskError
from jepa.masking import Flags, Indices, MaskConfig, Masks, place_blocks, random_subset

FOREGROUND_STREAM = 6
MAX_ROUNDS = 100

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]
"""RGB, shape (..., H, W, 3)."""


def patch_shares(pictures: Pictures, grid: tuple[int, int], mpp: float) -> Floats:
    """Return the stained share of every patch.

    Args:
        pictures: Shape (B, side, side, 3), uint8, RGB.
        grid: Rows and columns of patches.
        mpp: Micrometres per pixel.

    Returns:
        Shape (B, N), between 0 and 1.
    """
    shares = []
    for picture in pictures:
        mask = foreground_mask(picture, mpp).astype(np.float32)
        larger = cv2.resize(mask, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
        shares.append(cv2.resize(larger, (grid[1], grid[0]), interpolation=cv2.INTER_AREA))
    return np.stack(shares).reshape(len(pictures), -1).astype(np.float32)


def sample_foreground_masks(
    grid: tuple[int, int], config: MaskConfig, lengths: tuple[int, int], shares: Floats, least_share: float,
    seeds: list[list[int]],
) -> Masks:  # fmt: skip
    """Draw masks whose target blocks hold foreground.

    A block goes to a place where at least `least_share` of it is stained; where a picture has none
    it goes to the place with most. The context is what its block has outside of the targets.

    Args:
        grid: Rows and columns of patches.
        config: Sizes of the blocks.
        lengths: K and L, the same for all pictures of the step.
        shares: Stained share of every patch, shape (B, N).
        least_share: Between 0 and 1.
        seeds: Source of chance of each picture.

    Raises:
        MaskError: A picture's targets leave fewer than K patches in 100 draws.
    """
    rows = [
        _one_picture(grid, config, lengths, share.reshape(grid), least_share, np.random.default_rng(seed))
        for share, seed in zip(shares, seeds, strict=True)
    ]
    return Masks(np.stack([context for context, _ in rows]), np.stack([targets for _, targets in rows], axis=1))


def _one_picture(
    grid: tuple[int, int], config: MaskConfig, lengths: tuple[int, int], share: Floats, least_share: float,
    generator: np.random.Generator,
) -> tuple[Indices, Indices]:  # fmt: skip
    context_length, target_length = lengths
    sums = np.pad(share.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    for _ in range(MAX_ROUNDS):
        targets = np.stack(
            [_block(grid, config, target_length, sums, least_share, generator) for _ in range(config.num_targets)]
        )
        side = np.sqrt(generator.uniform(*config.context_scale))
        tall, wide = (np.array([max(1, round(side * length))]) for length in grid)
        context = place_blocks(grid, tall, wide, generator)[0] & ~targets.any(axis=0)
        if context.sum() >= context_length:
            return random_subset(context[None], context_length, generator)[0], random_subset(
                targets, target_length, generator
            )
    raise MaskError(
        f"a grid of {grid[0]} x {grid[1]} patches leaves fewer than {context_length} patches for the context beside "
        "targets on the foreground; use fewer or smaller targets, or foreground_targets = 0.", grid=grid,
    )  # fmt: skip


def _block(
    grid: tuple[int, int], config: MaskConfig, length: int, sums: Floats, least_share: float,
    generator: np.random.Generator,
) -> Flags:  # fmt: skip
    """Put one block of at least `length` patches where it is stained enough; shape (N,)."""
    aspect = np.exp(generator.uniform(*np.log(config.target_aspect)))
    lowest, highest = -(-length // grid[1]), min(grid[0], length)
    height = int(np.clip(round(np.sqrt(length * aspect)), lowest, highest))
    width = -(-length // height)
    # Sums over every place that the block can take, from the summed-area table.
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    good = np.argwhere(inside >= min(least_share * height * width, inside.max()) - 1e-4)
    top, left = good[generator.integers(len(good))]
    block = np.zeros(grid, bool)
    block[top : top + height, left : left + width] = True
    return block.ravel()
