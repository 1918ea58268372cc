"""A resumable stream of tiles: what a step sees is a pure function of (seed, step).

The pack is a memory-mapped uint8 array that `datasets.manifest` wrote. Crops shift but never
rescale (nuclear size is a criterion), turns and mirror images are free, the stain varies mildly.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jepa.config import RunConfig
from jepa.errors import DataError

_ORDER_STREAM, _AUGMENT_STREAM, _HOLDOUT_STREAM = 2, 3, 4
_HOLDOUT_SHARE = 0.1

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TilePack:
    """An open pack: `tiles` has shape (N, side, side, 3), uint8, RGB."""

    tiles: Pictures
    hash: str
    mpp: float


def open_pack(folder: Path, config: RunConfig) -> TilePack:
    """Open a tile pack and check that it fits the run.

    Raises:
        DataError: Damaged, of another scale, with tiles that are too small, or with fewer of them
            than one batch.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        tiles: Pictures = np.load(folder / "tiles.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"tile pack {folder.name}: cannot be opened ({error}). Build it again.") from error
    if tiles.ndim != 4 or tiles.shape[0] != manifest["tiles"] or tiles.dtype != np.uint8:
        raise DataError(f"tile pack {folder.name}: {tiles.shape} is not what its manifest says. Build it again.")
    if tiles.shape[1] < config.image_px or manifest["mpp"] != config.mpp:
        raise DataError(
            f"tile pack {folder.name}: {tiles.shape[1]} px at {manifest['mpp']} um/px, the run needs "
            f"{config.image_px} px at {config.mpp} um/px."
        )
    return TilePack(tiles, manifest["hash"], manifest["mpp"])


class TileStream:
    """Batches of a run, by step.

    Args:
        pack: The tiles.
        config: Batch size, picture size, stain jitter and seed.

    Raises:
        DataError: Fewer training tiles than one batch.
    """

    def __init__(self, pack: TilePack, config: RunConfig) -> None:
        self._tiles, self._config = pack.tiles, config
        count = len(pack.tiles)
        order = np.random.default_rng([config.seed, _HOLDOUT_STREAM]).permutation(count)
        held = min(config.holdout_tiles, int(_HOLDOUT_SHARE * count))
        self.holdout, self._train = np.sort(order[:held]), np.sort(order[held:])
        if len(self._train) < config.batch_size:
            raise DataError(
                f"{len(self._train)} training tiles are fewer than one batch of {config.batch_size}. "
                "Ingest more pictures, or set a smaller batch_size."
            )

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return which tiles a step sees; every tile comes once before any comes again."""
        size, count = self._config.batch_size, len(self._train)
        places = np.arange(step * size, (step + 1) * size)
        parts = []
        for epoch in np.unique(places // count):
            order = np.random.default_rng([self._config.seed, _ORDER_STREAM, int(epoch)]).permutation(count)
            parts.append(self._train[order[places[places // count == epoch] % count]])
        return np.concatenate(parts)

    def batch(self, step: int) -> Tensor:
        """Return the pictures of a step, shape (B, 3, image_px, image_px), normalised float32."""
        generator = np.random.default_rng([self._config.seed, _AUGMENT_STREAM, step])
        pictures = _shift_and_turn(self._tiles, self.indices(step), self._config.image_px, generator)
        density = 1 + generator.uniform(-1, 1, (len(pictures), 3)) * self._config.stain_jitter
        return normalise(_stain(pictures, density.astype(np.float32)), self._config)

    def holdout_batch(self) -> Tensor:
        """Return the tiles kept out of training, centre-cropped, shape (H, 3, side, side)."""
        side = self._config.image_px
        start = (self._tiles.shape[1] - side) // 2
        cut = self._tiles[self.holdout][:, start : start + side, start : start + side]
        return normalise(torch.from_numpy(np.ascontiguousarray(cut)).float() / 255, self._config)


def normalise(pictures: Tensor, config: RunConfig) -> Tensor:
    """Bring pictures (B, H, W, 3), 0 to 1, to the encoder's input (B, 3, H, W)."""
    mean, std = torch.tensor(config.mean), torch.tensor(config.std)
    return ((pictures - mean) / std).permute(0, 3, 1, 2).contiguous()


def _shift_and_turn(tiles: Pictures, indices: NDArray[np.int64], side: int, generator: np.random.Generator) -> Pictures:
    """Cut a random square out of each tile, mirror and turn it: eight equally good views."""
    room = tiles.shape[1] - side
    corners = generator.integers(0, room, (len(indices), 2), endpoint=True)
    turns = generator.integers(0, 8, len(indices))
    out = np.empty((len(indices), side, side, 3), np.uint8)
    for row, (index, (top, left), turn) in enumerate(zip(indices, corners, turns, strict=True)):
        picture = tiles[index, top : top + side, left : left + side]
        picture = picture[:, ::-1] if turn >= 4 else picture
        out[row] = np.rot90(picture, int(turn) % 4)
    return out


def _stain(pictures: Pictures, density: NDArray[np.float32]) -> Tensor:
    """Scale each channel's optical density: (B, H, W, 3) uint8 to 0..1."""
    light = (torch.from_numpy(pictures).float() + 1) / 256
    return light.pow(torch.from_numpy(density)[:, None, None, :])
