"""Views of tiles: which cut, turn and stain each gets (drawn on the host), and making them (on the device).

Whole tiles travel to the device as bytes, once for all their views; a cut without a change of scale
is a gather there and gives the tile's own bytes on every device.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from jepa.config import RunConfig

_LOG_ASPECT = math.log(4 / 3)

Cuts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Views:
    """Pictures on their way to the device: V views of each of B tiles."""

    tiles: Tensor
    """Shape (B, tile_px, tile_px, 3), uint8, RGB."""
    cuts: Tensor
    """Top, left, height, width in pixels and turn (0-7), shape (V, B, 5), int64."""
    density: Tensor
    """Factor of each channel's optical density, shape (V, B, 3), float32."""

    def pinned(self) -> Self:
        """Return them in memory that a GPU can fetch by itself."""
        return type(self)(self.tiles.pin_memory(), self.cuts.pin_memory(), self.density.pin_memory())

    def first_pictures(self, config: RunConfig) -> NDArray[np.uint8]:
        """Return the first views before the change of stain, on the host, shape (B, side, side, 3)."""
        picture = cut(self.tiles, self.cuts[0], config.image_px, is_scaled=has_scaled_cuts(config))
        return picture.round().to(torch.uint8).numpy()

    def finish(self, config: RunConfig, device: torch.device) -> Tensor:
        """Cut, change the stain and normalise on the device.

        Returns:
            Shape (V * B, 3, image_px, image_px), float32; all first views, then all second ones.
        """
        tiles, cuts, density = (part.to(device, non_blocking=True) for part in (self.tiles, self.cuts, self.density))
        is_scaled = has_scaled_cuts(config)
        pictures = torch.cat([cut(tiles, view, config.image_px, is_scaled=is_scaled) for view in cuts])
        light = (pictures.float() + 1) / 256
        return normalise(light.pow(density.flatten(0, 1)[:, None, None, :]), config)


def has_scaled_cuts(config: RunConfig) -> bool:
    """Whether a run's cuts change their scale."""
    return bool(config.scale_jitter) or config.crop_scale != (1.0, 1.0)


def draw_cuts(count: int, tile_px: int, config: RunConfig, generator: np.random.Generator) -> Cuts:
    """Draw top, left, height, width and turn (0-7) of each picture's cut, shape (count, 5)."""
    low, high = config.crop_scale
    if low == high == 1.0:
        scale = 1 + generator.uniform(-1, 1, (count, 1)) * config.scale_jitter if config.scale_jitter else 1.0
        sides = np.minimum(np.rint(np.full((count, 2), config.image_px) * scale), tile_px).astype(np.int64)
    else:
        # Random resized crop: area, and height over width between 3/4 and 4/3.
        area = generator.uniform(low, high, count) * tile_px**2
        aspect = np.exp(generator.uniform(-_LOG_ASPECT, _LOG_ASPECT, count))
        lengths = np.stack([np.sqrt(area * aspect), np.sqrt(area / aspect)], axis=1)
        sides = np.clip(np.rint(lengths), 1, tile_px).astype(np.int64)
    corners = generator.integers(0, tile_px - sides, endpoint=True)
    turns = generator.integers(0, 8, (count, 1))
    return np.concatenate([corners, sides, turns if config.dihedral else turns * 0], axis=1)


def cut(tiles: Tensor, cuts: Tensor, side: int, *, is_scaled: bool) -> Tensor:
    """Cut, mirror and turn one picture out of each tile, where the tiles lie.

    Args:
        tiles: Shape (B, tile_px, tile_px, 3), uint8.
        cuts: From `draw_cuts`, shape (B, 5). Turns of 4 and more mirror left and right first; then come
            turn modulo 4 quarter turns against the clock.
        side: Of the pictures, in pixels.
        is_scaled: Whether some cut is not `side` by `side`. Such ones are sampled bilinearly, as the
            published crops are; tiles are at most 8/7 as large as pictures, too little to need a filter.

    Returns:
        Shape (B, side, side, 3): uint8, or float32 from 0 to 255 where `is_scaled`.
    """
    top, left, height, width, turn = (part[:, None, None] for part in cuts.unbind(1))
    line = torch.arange(side, device=tiles.device)
    swapped, quarter = turn % 2 == 1, turn % 4
    down = torch.where(swapped, line[None, None, :], line[None, :, None])
    right = torch.where(swapped, line[None, :, None], line[None, None, :])
    down = torch.where(quarter >= 2, side - 1 - down, down)
    right = torch.where(((quarter == 1) | (quarter == 2)) ^ (turn >= 4), side - 1 - right, right)
    if not is_scaled:
        which = torch.arange(len(tiles), device=tiles.device)[:, None, None]
        return tiles[which, top + down, left + right]
    y, x = top + (down + 0.5) * height / side, left + (right + 0.5) * width / side
    places = torch.stack([x, y], dim=-1) * (2 / tiles.shape[1]) - 1
    channels = tiles.permute(0, 3, 1, 2).float()
    sampled = functional.grid_sample(channels, places, padding_mode="border", align_corners=False)
    return sampled.permute(0, 2, 3, 1)


def normalise(pictures: Tensor, config: RunConfig) -> Tensor:
    """Bring pictures (B, H, W, 3), 0 to 1, to the encoder's input (B, 3, H, W)."""
    mean, std = _colours(config.mean, config.std, pictures.device)
    return ((pictures - mean) / std).permute(0, 3, 1, 2).contiguous()


@lru_cache(maxsize=8)
def _colours(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return both on the device; made once, because every copy to a GPU makes the host wait."""
    return torch.tensor(mean, device=device), torch.tensor(std, device=device)
