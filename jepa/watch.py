"""A look at the target encoder every N steps: on tiles kept out of training, and on labelled ones.

Warns in words; never touches weights and never picks a checkpoint. Labels come in as plain codes.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.files import write_atomically
from jepa import monitor
from jepa.backbones import encode
from jepa.config import RunConfig
from jepa.data import TileStream
from jepa.encoder import embed_batch
from jepa.objectives import Objective, draw_masks
from jepa.runlog import Row
from jepa.token_picture import draw_token_picture
from jepa.two_views import TwoViews

PICTURE_TILES = 6
_WATCH_STREAM = 5
_BATCH = 64
_R2_TILES = 128
_RANK_TOKENS = 4096
_LABELLED_TILES = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class TileLabels:
    """What is known about some tiles of a pack; only for watching, training never sees it."""

    tiles: NDArray[np.int64]
    """Places in the pack, shape (N,)."""
    codes: NDArray[np.int64]
    """Categories, shape (N,), from 0."""
    groups: NDArray[np.int64]
    """Slides, shape (N,)."""


class Watch:
    """Looks at a run's target encoder.

    Args:
        config: The run's options.
        stream: Gives the hold-out and the labelled tiles, always the same ones.
        labels: Labelled tiles, None where there are none.
        folder: Gets the pictures of patch tokens; None: nothing is drawn.
        earlier: Lines of the run's log before a resume.
    """

    def __init__(
        self, config: RunConfig, stream: TileStream, labels: TileLabels | None, folder: Path | None, earlier: list[Row]
    ) -> None:
        self._config, self._stream, self._folder = config, stream, folder
        self._labels = _at_most(labels, _LABELLED_TILES, config.seed) if labels else None
        looks = [row for row in earlier if "rankme" in row and self._is_past_warmup(row["step"])]
        self._best_rank = max((row["rankme"] for row in looks), default=0.0)
        self._first_std: float | None = looks[0]["feature_std"] if looks else None
        self.health: monitor.Health | None = None

    @torch.no_grad()
    def look(self, model: Objective, step: int) -> dict[str, Any]:
        """Measure the target encoder.

        Args:
            model: The run's networks.
            step: Steps done.

        Returns:
            The measures for the log and, when something is wrong, `warning`; nothing when the
            run keeps fewer than two tiles out of training.
        """
        pictures = self._stream.holdout_batch()
        if len(pictures) < 2:
            return {}
        was_training = model.training
        model.eval()
        health = monitor.look(self._embed(model, pictures))
        codes = self._labels.codes if self._labels is not None else None
        self.health = replace(
            health,
            patch_rankme=self._patch_rank(model, pictures),
            predictor_r2=self._predictor_r2(model, pictures[:_R2_TILES]),
            knn_balanced_accuracy=self._knn(model),
            knn_chance=None if codes is None else 1 / len(np.unique(codes)),
        )
        self._draw(model, pictures, step)
        model.train(was_training)
        past_warmup = self._is_past_warmup(step)
        if past_warmup:
            self._best_rank = max(self._best_rank, health.rankme)
            self._first_std = self._first_std or health.feature_std
        sentence = monitor.warning(self.health, self._best_rank, past_warmup=past_warmup, first_std=self._first_std)
        values = {name: value for name, value in asdict(self.health).items() if value is not None}
        return values | ({"warning": sentence} if sentence else {})

    def _is_past_warmup(self, step: int) -> bool:
        return step > self._config.warmup * self._config.steps

    def _embed(self, model: Objective, pictures: Tensor) -> Tensor:
        parts = [
            embed_batch(model.target_encoder, part.to(_device(model)), self._config).float().cpu()
            for part in torch.split(pictures, _BATCH)
        ]
        return torch.cat(parts)

    def _patch_rank(self, model: Objective, pictures: Tensor) -> float:
        tokens = encode(model.target_encoder, pictures[:_BATCH].to(_device(model))).float().cpu().flatten(0, 1)
        step = max(1, len(tokens) // _RANK_TOKENS)
        return monitor.rankme(tokens[::step])

    def _predictor_r2(self, model: Objective, pictures: Tensor) -> float | None:
        """Compare guesses and targets under masks that are the same at every look."""
        if isinstance(model, TwoViews):
            return None
        config = self._config
        generator = np.random.default_rng([config.seed, _WATCH_STREAM])
        masks = draw_masks(config, len(pictures), generator)
        context, places = torch.from_numpy(masks.context), torch.from_numpy(masks.targets)
        everywhere = torch.arange(config.grid[0] * config.grid[1])
        device, guesses, tokens = _device(model), [], []
        for start in range(0, len(pictures), _BATCH):
            part = pictures[start : start + _BATCH].to(device)
            here = places[:, start : start + _BATCH]
            guess = model.predict(part, context[start : start + _BATCH].to(device), here.to(device))
            guesses.append(guess.float().cpu().reshape(*here.shape, -1))
            tokens.append(model.targets(part, everywhere.expand(1, len(part), -1).to(device)).float().cpu())
        return monitor.predictor_r2(torch.cat(guesses, dim=1), torch.cat(tokens), places)

    def _knn(self, model: Objective) -> float | None:
        if self._labels is None:
            return None
        codes, groups = torch.from_numpy(self._labels.codes), torch.from_numpy(self._labels.groups)
        embeddings = self._embed(model, self._stream.plain_batch(self._labels.tiles))
        return monitor.knn_balanced_accuracy(embeddings, codes, groups)

    def _draw(self, model: Objective, pictures: Tensor, step: int) -> None:
        """Draw the hold-out tiles with most to see; the first and the newest picture are kept."""
        chosen = pictures.flatten(1).std(dim=1).argsort(descending=True)[:PICTURE_TILES]
        # All processes run the encoder, which they may share; only the first one writes.
        tokens = encode(model.target_encoder, pictures[chosen].to(_device(model))).float().cpu()
        if self._folder is None:
            return
        tiles = self._stream.plain_tiles(self._stream.holdout[chosen.numpy()])
        picture = draw_token_picture(tiles, tokens, self._config.grid)
        write_atomically(self._folder / f"step-{step:07d}.png", picture)
        for old in sorted(self._folder.glob("step-*.png"))[1:-1]:
            old.unlink()


def _device(model: Objective) -> torch.device:
    return next(model.parameters()).device


def _at_most(labels: TileLabels, count: int, seed: int) -> TileLabels:
    """Keep `count` labelled tiles, the same ones at every look."""
    kept = np.sort(np.random.default_rng([seed, _WATCH_STREAM, 1]).permutation(len(labels.tiles))[:count])
    return TileLabels(tiles=labels.tiles[kept], codes=labels.codes[kept], groups=labels.groups[kept])
