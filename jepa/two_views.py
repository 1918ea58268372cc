"""Objectives that make two views of a tile agree, for honest comparison with I-JEPA.

Same encoder, same tiles, same crops, turns and stain as I-JEPA; embeddings are means of the patch
tokens. VICReg is written from its paper; DINO's loss and head come from the optional package lightly.
"""

import copy
import warnings
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from jepa.backbones import build_encoder, encode, stages
from jepa.config import RunConfig
from jepa.errors import ConfigError
from jepa.model import copy_statistics, move_towards
from jepa.regularise import Projector, vicreg_loss

_DINO_HIDDEN, _DINO_BOTTLENECK, _DINO_PROTOTYPES = 1024, 256, 4096


class TwoViews(nn.Module, ABC):
    """An encoder that sees both views of each tile, whole.

    Args:
        config: Sizes of the encoder.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.step = 0
        self.encoder = build_encoder(config)
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)

    def forward(self, pictures: Tensor, _context: Tensor, _targets: Tensor) -> Tensor:
        """Return `loss`; masks are not used.

        Args:
            pictures: Shape (2 * B, 3, H, W): all first views, then all second ones.
        """
        return self.loss(pictures)

    @abstractmethod
    def loss(self, pictures: Tensor) -> Tensor:
        """Return how little the views of pictures, shape (2 * B, 3, H, W), agree, a scalar."""

    def blocks(self) -> list[nn.Module]:
        """Return the parts that hold nearly all weights, as `IJepa.blocks` does."""
        return [*stages(self.encoder), *stages(self.target_encoder)]

    def update_target(self, momentum: float, *, unless: Tensor | None = None) -> None:
        """Move the target encoder as `IJepa.update_target` does."""
        move_towards(self.target_encoder, self.encoder, momentum, unless)


class VicReg(TwoViews):
    """VICReg (Bardes et al. 2022): views agree, features vary and are uncorrelated. No target encoder of its own.

    Args:
        config: Sizes of the encoder; the projector is four times as wide.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.projector = Projector(config.dim, 4 * config.dim)

    def loss(self, pictures: Tensor) -> Tensor:
        """Return VICReg's loss of two views' pictures, shape (2 * B, 3, H, W)."""
        first, second = encode(self.encoder, pictures).mean(dim=1).chunk(2)
        return vicreg_loss(self.projector(first), self.projector(second))

    def update_target(self, momentum: float, *, unless: Tensor | None = None) -> None:
        """Copy the encoder, which is what the paper evaluates, unless the scalar is 1; the momentum is not used."""
        super().update_target(0.0 * momentum, unless=unless)
        copy_statistics(self.target_encoder, self.encoder)


class Dino(TwoViews):
    """DINO (Caron et al. 2021) with two whole views: the target encoder's view of one is guessed from the other.

    Args:
        config: Sizes of the encoder; `ema` is the teacher's momentum.

    Raises:
        ConfigError: The package lightly is not installed.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        try:
            from lightly.loss import DINOLoss
            from lightly.models.modules.heads import DINOProjectionHead
        except ImportError as error:
            raise ConfigError(
                "objective = dino needs the package lightly. Install it with: pip install 'cytojepa[baselines]'."
            ) from error
        with warnings.catch_warnings():
            # lightly 1.6 still builds its head on a deprecated function of torch.
            warnings.filterwarnings("ignore", message=".*weight_norm.*", category=FutureWarning)
            sizes = (config.dim, _DINO_HIDDEN, _DINO_BOTTLENECK, _DINO_PROTOTYPES)
            self.head, self.target_head = DINOProjectionHead(*sizes), DINOProjectionHead(*sizes).requires_grad_(False)
        self.target_head.load_state_dict(self.head.state_dict())
        self.distance = DINOLoss(output_dim=_DINO_PROTOTYPES)

    def loss(self, pictures: Tensor) -> Tensor:
        """Return the cross-entropy between teacher and student over crossed views' pictures, shape (2 * B, 3, H, W)."""
        student = self.head(encode(self.encoder, pictures).mean(dim=1)).float().chunk(2)
        with torch.no_grad():
            teacher = self.target_head(encode(self.target_encoder, pictures).mean(dim=1)).float().chunk(2)
        return self.distance([*teacher], [*student])

    def update_target(self, momentum: float, *, unless: Tensor | None = None) -> None:
        """Move the teacher, encoder and head; arguments as in `IJepa.update_target`."""
        super().update_target(momentum, unless=unless)
        move_towards(self.target_head, self.head, momentum, unless)
