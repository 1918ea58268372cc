"""What a run learns from: the masks of a step and the networks with their loss, by the run's options."""

import numpy as np

from jepa.config import RunConfig
from jepa.masking import MaskConfig, Masks, sample_masks
from jepa.published_masks import sample_published_masks

_SAMPLERS = {"own": sample_masks, "published": sample_published_masks}


def draw_masks(config: RunConfig, batch_size: int, generator: np.random.Generator, rows: slice = slice(None)) -> Masks:
    """Draw the context and target blocks of a batch as the run's options say.

    Args:
        config: The rule, and the sizes of the blocks.
        batch_size: Pictures of the whole step.
        generator: The only source of chance.
        rows: Which pictures' masks to return.

    Raises:
        MaskError: The grid is too small for the blocks.
    """
    return _SAMPLERS[config.mask_rule](config.grid, MaskConfig.of(config), batch_size, generator, rows)
