"""What an encoder sees: the first three principal components of patch tokens as colours.

Patches of one colour look alike to the encoder; a picture of noise means that it tells nothing
apart. The components are shared by all tiles of the picture, so colours can be compared.
"""

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

TILE_PX = 168
_GAP_PX = 8
_PAPER = (251, 251, 249)
_LOW, _HIGH = 0.02, 0.98

Pictures = NDArray[np.uint8]
"""RGB, shape (..., H, W, 3)."""


def principal_colours(tokens: Tensor, grid: tuple[int, int]) -> Pictures:
    """Project tokens on their first three principal components.

    Args:
        tokens: Shape (T, rows * columns, D).
        grid: Rows and columns.

    Returns:
        Shape (T, rows, columns, 3), uint8: the components as red, green and blue, each stretched
        from its 2nd to its 98th percentile.
    """
    flat = tokens.double().flatten(0, 1)
    centred = flat - flat.mean(0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:3]
    # A component's sign is arbitrary; fixed by its largest loading, looks of one run resemble each other.
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    values = centred @ (directions * largest.sign()).T
    low, high = values.quantile(_LOW, dim=0), values.quantile(_HIGH, dim=0)
    scaled = ((values - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    missing = 3 - scaled.shape[1]
    colours = torch.nn.functional.pad(scaled, (0, missing)) if missing > 0 else scaled
    return (255 * colours).round().to(torch.uint8).numpy().reshape(len(tokens), *grid, 3)


def draw_token_picture(tiles: Pictures, tokens: Tensor, grid: tuple[int, int]) -> bytes:
    """Draw tiles in a row and what the encoder sees below them.

    Args:
        tiles: Shape (T, side, side, 3), uint8, RGB.
        tokens: Shape (T, rows * columns, D).
        grid: Rows and columns of patches.

    Returns:
        A PNG.
    """
    step = TILE_PX + _GAP_PX
    sheet = Image.new("RGB", (step * len(tiles) - _GAP_PX, 2 * TILE_PX + _GAP_PX), _PAPER)
    for column, (tile, colours) in enumerate(zip(tiles, principal_colours(tokens, grid), strict=True)):
        for top, picture, method in (
            (0, tile, Image.Resampling.LANCZOS),
            (step, colours, Image.Resampling.NEAREST),
        ):
            sheet.paste(Image.fromarray(picture).resize((TILE_PX, TILE_PX), method), (column * step, top))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
