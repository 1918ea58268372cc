"""Fixed 2-D sin-cos positions for a grid of patches. Knows no torch.

The same table serves context encoder, target encoder and predictor (I-JEPA, Assran et al. 2023,
appendix A; the functions are those of Vaswani et al. 2017, section 3.5, once per axis).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from jepa.errors import ConfigError

LONGEST_WAVE = 10_000.0


@lru_cache(maxsize=64)
def sin_cos_table(grid: tuple[int, int], dim: int) -> NDArray[np.float32]:
    """Return one position vector per patch.

    Args:
        grid: Rows and columns of patches; the two may differ.
        dim: Features per patch, a multiple of 4.

    Returns:
        Shape (rows * columns, dim), row-major, read-only. The first half of the features tells the
        column, the second half the row; each half is the sines, then the cosines.

    Raises:
        ConfigError: `dim` is no multiple of 4.
    """
    if dim % 4:
        raise ConfigError(f"dim = {dim} is no multiple of 4, which 2-D sin-cos positions need.")
    rows, columns = np.meshgrid(np.arange(grid[0]), np.arange(grid[1]), indexing="ij")
    table = np.concatenate([_waves(columns, dim // 2), _waves(rows, dim // 2)], axis=1)
    result = table.astype(np.float32)
    result.setflags(write=False)
    return result


def _waves(places: NDArray[np.integer], dim: int) -> NDArray[np.float64]:
    frequencies = LONGEST_WAVE ** (-np.arange(dim // 2) / (dim / 2))
    angles = places.reshape(-1, 1).astype(np.float64) * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
