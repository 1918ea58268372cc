"""The mask sampler of the published runs, faults included, for comparison with published numbers. Numpy only.

Written from its measured behaviour, not from its code: all images of a batch have the same block
sizes; scale and aspect come from one random number; a block as long as the grid is cut by one; the
end is excluded from positions, so that the last row and column are never seen; contexts are cut to
the batch's smallest by keeping the first indices. The default sampler is in `masking`.
"""

import numpy as np

from jepa.errors import MaskError
from jepa.masking import Flags, Indices, MaskConfig, Masks

MAX_ROUNDS = 100
"""Draws for an image whose context is too small; the published sampler can draw for ever."""


def sample_published_masks(
    grid: tuple[int, int], config: MaskConfig, batch_size: int, generator: np.random.Generator,
    rows: slice = slice(None),
) -> Masks:  # fmt: skip
    """Draw masks as the published runs had them; arguments and result as in `masking.sample_masks`.

    Raises:
        MaskError: A target or context has no more than `config.min_context` patches.
    """
    height, width = _size(grid, config.target_scale, config.target_aspect, generator.random())
    tall, wide = _size(grid, config.context_scale, (1.0, 1.0), generator.random())
    if height * width <= config.min_context:
        raise MaskError(
            f"targets of {height} x {width} patches have no more than min_context = {config.min_context} on a grid "
            f"of {grid[0]} x {grid[1]}: the published sampler would never end. Set mask_rule = own.", grid=grid,
        )  # fmt: skip
    contexts, targets = list[Indices](), list[list[Indices]]()
    for _ in range(batch_size):
        context, blocks = _one_image(grid, config, (height, width), (tall, wide), generator)
        contexts.append(context)
        targets.append(blocks)
    shortest = min(len(context) for context in contexts)
    return Masks(
        context=np.stack([context[:shortest] for context in contexts])[rows],
        targets=np.stack(targets)[rows].transpose(1, 0, 2),
    )


def _size(
    grid: tuple[int, int], scale: tuple[float, float], aspect: tuple[float, float], chance: float
) -> tuple[int, int]:
    area = int(grid[0] * grid[1] * (scale[0] + chance * (scale[1] - scale[0])))
    ratio = aspect[0] + chance * (aspect[1] - aspect[0])
    return min(round((area * ratio) ** 0.5), grid[0] - 1), min(round((area / ratio) ** 0.5), grid[1] - 1)


def _one_image(
    grid: tuple[int, int], config: MaskConfig, target: tuple[int, int], context: tuple[int, int],
    generator: np.random.Generator,
) -> tuple[Indices, list[Indices]]:  # fmt: skip
    for _ in range(MAX_ROUNDS):
        blocks = [_block(grid, target, generator) for _ in range(config.num_targets)]
        kept = np.flatnonzero(_block(grid, context, generator) & ~np.any(blocks, axis=0))
        if len(kept) > config.min_context:
            return kept, [np.flatnonzero(block) for block in blocks]
    raise MaskError(
        f"a grid of {grid[0]} x {grid[1]} patches leaves no more than min_context = {config.min_context} patches "
        "for the context. Set mask_rule = own.", grid=grid,
    )  # fmt: skip


def _block(grid: tuple[int, int], size: tuple[int, int], generator: np.random.Generator) -> Flags:
    top, left = (int(generator.integers(0, side - length)) for side, length in zip(grid, size, strict=True))
    block = np.zeros(grid, bool)
    block[top : top + size[0], left : left + size[1]] = True
    return block.ravel()
