"""What a run learns from, by its options: the masks of a step, and the networks with their loss.

Every objective has `encoder` and `target_encoder` (the one that is watched, saved and evaluated), is
called with (pictures, context, targets), and moves the target encoder in `update_target`. Pictures
are (B, 3, H, W), or (2 * B, 3, H, W) where a step needs two views of each tile: first ones first.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from jepa.backbones import INIT_STD
from jepa.config import RunConfig
from jepa.foreground import FOREGROUND_STREAM, patch_shares, sample_foreground_masks
from jepa.masking import MaskConfig, Masks, mask_lengths, sample_masks
from jepa.model import IJepa, copy_statistics
from jepa.published_masks import sample_published_masks
from jepa.regularise import (
    Projector,
    covariance_term,
    random_directions,
    sigreg_term,
    variance_term,
    vicreg_loss,
)
from jepa.two_views import Dino, TwoViews, VicReg

MAE_HIDDEN_SHARE = 0.75
"""Share of the patches that the pixel objective hides (He et al. 2022, section 3)."""
_SAMPLERS = {"own": sample_masks, "published": sample_published_masks}
_PROJECTOR_FACTOR = 4


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
    if config.objective == "mae":
        return _scattered_masks(config.grid[0] * config.grid[1], batch_size, generator, rows)
    return _SAMPLERS[config.mask_rule](config.grid, MaskConfig.of(config), batch_size, generator, rows)


def draw_masks_for(
    config: RunConfig, pictures: Callable[[], NDArray[np.uint8]], step: int, generator: np.random.Generator, rows: slice
) -> Masks:
    """Draw masks as `draw_masks` does, with the targets on the foreground where the run asks for it.

    Args:
        config: The run's options.
        pictures: Gives the first views of the asked rows, shape (B, side, side, 3), uint8; asked only where
            `foreground_targets` looks at them.
        step: From 0.
        generator: Chance of the whole step; decides the lengths.
        rows: Which of the step's pictures these are.
    """
    if not config.foreground_targets:
        return draw_masks(config, config.batch_size, generator, rows)
    options = MaskConfig.of(config)
    lengths = mask_lengths(config.grid, options)
    shares = patch_shares(pictures(), config.grid, config.mpp)
    seeds = [[config.seed, FOREGROUND_STREAM, step, row] for row in range(config.batch_size)[rows]]
    chosen = lengths[generator.integers(len(lengths))]
    return sample_foreground_masks(config.grid, options, chosen, shares, config.foreground_targets, seeds)


def _scattered_masks(patches: int, batch_size: int, generator: np.random.Generator, rows: slice) -> Masks:
    """Hide three quarters of the patches anywhere; all hidden ones are one target."""
    order = generator.random((batch_size, patches)).argsort(axis=1)[rows]
    shown = max(1, round(patches * (1 - MAE_HIDDEN_SHARE)))
    return Masks(np.sort(order[:, :shown], axis=1), np.sort(order[:, shown:], axis=1)[None])


class RegularisedIJepa(IJepa):
    """I-JEPA (Assran et al. 2023) with terms that keep embeddings apart, on the context encoder's mean token.

    Variance and covariance as C-JEPA has them (Mo and Tong 2024, section 3.2); SIGReg; agreement of
    two views of a tile with VICReg's loss. The last two look through a projector of their own.

    Args:
        config: The weights of the terms, and the networks' sizes.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.config = config
        self.step = 0
        """Steps done; decides SIGReg's random lines."""
        if config.sigreg or config.invariance:
            self.projector = Projector(config.dim, _PROJECTOR_FACTOR * config.dim)

    def loss(self, pictures: Tensor, context: Tensor, targets: Tensor) -> Tensor:
        """Return I-JEPA's loss plus the weighted terms; arguments as in `IJepa.loss`."""
        config, first = self.config, pictures[: len(pictures) // self.config.views]
        contexts = context[None] if context.ndim == 2 else context
        tokens = self.encode(first, contexts)
        grid = (first.shape[-2] // self.patch_px, first.shape[-1] // self.patch_px)
        guess = self.predictor(tokens, contexts, targets, grid)
        wanted = self.targets(first, targets, contexts=len(contexts))
        loss = functional.smooth_l1_loss(guess.float(), wanted)
        pooled = tokens.mean(dim=1)
        if config.variance:
            loss = loss + config.variance * variance_term(pooled)
        if config.covariance:
            loss = loss + config.covariance * covariance_term(pooled)
        if config.sigreg:
            loss = loss + config.sigreg * sigreg_term(self.projector(pooled), self._lines(pooled.device))
        if config.invariance:
            other = self.encode(pictures[len(first) :], contexts).mean(dim=1)
            loss = loss + config.invariance * vicreg_loss(self.projector(pooled), self.projector(other))
        return loss

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it untyped
    def _lines(self, device: torch.device) -> Tensor:
        # Outside of the compiled part: a number that changes with every step would compile it anew each time.
        width = _PROJECTOR_FACTOR * self.config.dim
        return random_directions(width, seed=self.config.seed, step=self.step, device=device)


class MaskedAutoencoder(IJepa):
    """Pixel reconstruction with the same encoder, masks that are scattered, and the same predictor.

    MAE (He et al. 2022): three quarters of the patches hidden, mean squared error of hidden patches
    whose pixels are normalised per patch. Differs from it: no class token, and the decoder is the
    run's predictor, so that only the objective differs from I-JEPA.

    Args:
        config: Sizes of encoder and predictor.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.predictor.predictor_proj = nn.Linear(config.predictor_dim, 3 * config.patch_px**2)
        nn.init.trunc_normal_(self.predictor.predictor_proj.weight, std=INIT_STD)
        nn.init.zeros_(self.predictor.predictor_proj.bias)

    @torch.no_grad()
    def targets(self, pictures: Tensor, targets: Tensor, *, contexts: int = 1) -> Tensor:
        """Return the pixels of patches, normalised per patch, shape (M * C * B, L, 3 * side * side)."""
        patches = functional.unfold(pictures.float(), self.patch_px, stride=self.patch_px).transpose(1, 2)
        normed = functional.layer_norm(patches, patches.shape[-1:])
        rows = torch.arange(len(pictures), device=pictures.device)[:, None]
        return torch.cat([normed[rows, block].repeat(contexts, 1, 1) for block in targets])

    def loss(self, pictures: Tensor, context: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of hidden pixels; arguments as in `IJepa.loss`."""
        guess = self.predict(pictures, context, targets)
        return functional.mse_loss(guess.float(), self.targets(pictures, targets))

    def update_target(self, momentum: float, *, unless: Tensor | None = None) -> None:
        """Copy the encoder, which is what the paper evaluates, unless the scalar is 1; the momentum is not used."""
        super().update_target(0.0 * momentum, unless=unless)
        copy_statistics(self.target_encoder, self.encoder)


Objective = IJepa | TwoViews


def make_objective(config: RunConfig) -> Objective:
    """Build the networks of a run with fresh weights from torch's generator.

    Raises:
        ConfigError: The backbone is unknown, or an optional package is not installed.
    """
    if config.objective == "mae":
        return MaskedAutoencoder(config)
    if config.objective == "vicreg":
        return VicReg(config)
    if config.objective == "dino":
        return Dino(config)
    if config.variance or config.covariance or config.sigreg or config.invariance:
        return RegularisedIJepa(config)
    return IJepa(config)
