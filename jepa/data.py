"""A resumable stream of tiles: what a step sees is a pure function of (seed, step).

The pack is what `datasets.manifest` wrote. Crops shift and, by default, never rescale (nuclear size is
a criterion), turns and mirror images are free, the stain varies mildly. Whole tiles go to the device as
bytes; crops, turns, stain and normalisation happen there (`jepa.views`).
"""

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.detection import foreground_share
from datasets.tile_files import Tiles, open_tiles
from jepa.config import RunConfig
from jepa.errors import DataError
from jepa.views import Views, draw_cuts, normalise

_ORDER_STREAM, _AUGMENT_STREAM, _HOLDOUT_STREAM = 2, 3, 4
_HOLDOUT_SHARE = 0.1
_EMPTY_WEIGHT = 0.02
"""Weight of an empty tile beside a full one: some glass stays in the diet."""

Pictures = NDArray[np.uint8]
"""RGB, shape (..., H, W, 3)."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TilePack:
    """An open pack: `tiles` has shape (N, side, side, 3), uint8, RGB."""

    tiles: Tiles
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
        tiles = open_tiles(folder)
    except (OSError, ValueError) as error:
        raise DataError(f"tile pack {folder.name}: cannot be opened ({error}). Build it again.") from error
    if len(tiles.shape) != 4 or tiles.shape[0] != manifest["tiles"]:
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
        self.num_tiles = len(self._train)
        if len(self._train) < config.batch_size:
            raise DataError(
                f"{len(self._train)} training tiles are fewer than one batch of {config.batch_size}. "
                "Ingest more pictures, or set a smaller batch_size."
            )
        self._chances = None
        if config.foreground_tiles:
            shares = [foreground_share(self._tiles[index], config.mpp) for index in self._train]
            self._chances = tile_chances(np.array(shares), config.foreground_tiles)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return which tiles a step sees, shape (batch_size,); every tile comes once before any comes again.

        With `foreground_tiles` an epoch is drawn with repetition, stained tiles more often.
        """
        size, count = self._config.batch_size, len(self._train)
        places = np.arange(step * size, (step + 1) * size)
        parts = []
        for epoch in np.unique(places // count):
            order = self._order(int(epoch))
            parts.append(self._train[order[places[places // count == epoch] % count]])
        return np.concatenate(parts)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        generator = np.random.default_rng([self._config.seed, _ORDER_STREAM, epoch])
        if self._chances is None:
            return generator.permutation(len(self._train))
        return generator.choice(len(self._train), len(self._train), p=self._chances)

    def views(self, step: int, rows: slice = slice(None)) -> Views:
        """Return some tiles of a step as bytes, with what is to be done to them on the device.

        Args:
            step: From 0.
            rows: Which of the batch's tiles; all processes draw the same numbers and take their own.
        """
        chance = np.random.default_rng([self._config.seed, _AUGMENT_STREAM, step])
        indices = self.indices(step)
        cuts, densities = [], []
        for _ in range(self._config.views):
            cuts.append(draw_cuts(len(indices), self._tiles.shape[1], self._config, chance)[rows])
            density = 1 + chance.uniform(-1, 1, (len(indices), 3)) * self._config.stain_jitter
            densities.append(density[rows].astype(np.float32))
        tiles = np.ascontiguousarray(self._tiles[indices[rows]])
        return Views(torch.from_numpy(tiles), torch.from_numpy(np.stack(cuts)), torch.from_numpy(np.stack(densities)))

    def batch(self, step: int) -> Tensor:
        """Return the pictures of a step, shape (B, 3, image_px, image_px), normalised float32."""
        return self.views(step).finish(self._config, torch.device("cpu"))

    def holdout_batch(self) -> Tensor:
        """Return the tiles kept out of training, centre-cropped, shape (H, 3, side, side)."""
        return self.plain_batch(self.holdout)

    def plain_batch(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the tiles of some indices, shape (N,), centre-cropped and normalised, shape (N, 3, side, side)."""
        return normalise(torch.from_numpy(self.plain_tiles(indices)).float() / 255, self._config)

    def plain_tiles(self, indices: NDArray[np.int64]) -> Pictures:
        """Return the tiles of some indices, shape (N,), centre-cropped, shape (N, side, side, 3), uint8."""
        side = self._config.image_px
        start = (self._tiles.shape[1] - side) // 2
        return np.ascontiguousarray(self._tiles[indices][:, start : start + side, start : start + side])


def tile_chances(shares: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return how likely each tile is drawn, sum 1.

    Args:
        shares: Stained share of each tile, shape (N,).
        weight: 0: all alike; 1: in proportion to the stained share, empty tiles a fiftieth of full ones.
    """
    wanted = _EMPTY_WEIGHT + (1 - _EMPTY_WEIGHT) * shares
    return np.asarray((1 - weight) / len(shares) + weight * wanted / wanted.sum())


class Ahead(Generic[T]):
    """Values of the next steps, made by a thread while the device works.

    Args:
        make: Gives the value of a step.
        count: How many steps ahead; 0: made when asked for.
    """

    def __init__(self, make: Callable[[int], T], count: int) -> None:
        self._make, self._count = make, count
        self._worker = ThreadPoolExecutor(1) if count else None
        self._waiting: dict[int, Future[T]] = {}

    def take(self, step: int) -> T:
        """Return the value of a step; later steps are then being made."""
        if self._worker is None:
            return self._make(step)
        for later in range(step, step + self._count):
            if later not in self._waiting:
                self._waiting[later] = self._worker.submit(self._make, later)
        return self._waiting.pop(step).result()

    def close(self) -> None:
        """Forget what was made ahead."""
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)
