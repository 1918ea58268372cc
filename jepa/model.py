"""I-JEPA: context encoder, predictor and target encoder (Assran et al. 2023, section 3).

Shapes: `B` pictures, `C` contexts per picture (normally 1), `M` target blocks, `N` patches,
`K` context patches, `L` patches of a target block, `D` width, `P` predictor width.
Parameter names agree with published checkpoints. Knows no optimiser, no files.

    model = IJepa(RunConfig(image_px=64, patch_px=8, target_passes="separate"))
    model.encoder.load_state_dict(...)                      # also .predictor, .target_encoder
    model.encode(pictures)                                  # (B, N, D), all patches
    model.encode(pictures, context)                         # (C * B, K, D), the context's patches
    model.predict(pictures, context, targets)               # (M * C * B, L, D)
    model.targets(pictures, targets, contexts=C)            # the same shape: what is to be predicted
    model.loss(pictures, context, targets)                  # scalar; model(...) is the same

`context` is (B, K) or (C, B, K), `targets` (M, B, L): row-major patch indices of the pictures' grid.
Pictures may have other sizes than the configuration's, square or not: positions are computed anew.
"""

import copy
from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional

from jepa.backbones import (
    INIT_STD,
    build_encoder,
    encode,
    fixed_positions,
    gather_patches,
    initialise,
    positions_for,
    stages,
)
from jepa.config import RunConfig

NORM_EPS = 1e-6


class Predictor(nn.Module):
    """Guesses the target encoder's tokens at masked places from the context's tokens.

    Args:
        config: Widths, depth and heads.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        width = config.predictor_dim
        self.joint = config.target_passes == "joint"
        self.union = config.target_passes == "union"
        self.grid = config.grid
        self.predictor_embed = nn.Linear(config.dim, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.predictor_pos_embed = fixed_positions(config.grid, width)
        self.predictor_blocks = nn.Sequential(
            *(
                Block(
                    width,
                    config.predictor_heads,
                    qkv_bias=True,
                    norm_layer=partial(nn.LayerNorm, eps=NORM_EPS),  # type: ignore[arg-type]  # a factory serves
                )
                for _ in range(config.predictor_depth)
            )
        )
        self.predictor_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.predictor_proj = nn.Linear(width, config.dim)
        initialise(self)
        nn.init.trunc_normal_(self.mask_token, std=INIT_STD)

    def forward(self, tokens: Tensor, context: Tensor, targets: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Predict every target block.

        Differs from the paper when `joint` or `union`: all blocks of a picture share one pass, so mask
        tokens of different blocks see each other; with `union` a patch of several blocks is asked once.

        Args:
            tokens: The context encoder's output, shape (C * B, K, D), context-major.
            context: Its patches, shape (C, B, K).
            targets: Patches to predict, shape (M, B, L).
            grid: Rows and columns of patches; None for the configuration's.

        Returns:
            Shape (M * C * B, L, D): target-major, then context-major, then picture.
        """
        (C, B, K), (M, _, L) = context.shape, targets.shape
        positions = positions_for(grid or self.grid, self.grid, self.predictor_pos_embed)
        known_CBKP = (self.predictor_embed(tokens) + gather_patches(positions, context.reshape(C * B, K))).reshape(
            C, B, K, -1
        )
        if self.union:
            asked_BU, places_MBL = distinct_patches(targets, positions.shape[1])
            queries_BUP = self.mask_token + positions[0][asked_BU]
            out = self._run(known_CBKP, queries_BUP.expand(C, -1, -1, -1))
            out_CBUD = out.reshape(C, B, asked_BU.shape[1], -1)
            rows = torch.arange(B, device=out.device)[:, None]
            return out_CBUD[:, rows, places_MBL].transpose(0, 1).reshape(M * C * B, L, -1)
        queries_MBLP = self.mask_token + positions[0][targets]
        if self.joint:
            queries_BMLP = queries_MBLP.transpose(0, 1).reshape(1, B, M * L, -1)
            out_CBQD = self._run(known_CBKP, queries_BMLP.expand(C, -1, -1, -1))
            return out_CBQD.reshape(C, B, M, L, -1).permute(2, 0, 1, 3, 4).reshape(M * C * B, L, -1)
        known_MCB = known_CBKP[None].expand(M, -1, -1, -1, -1)
        queries_MCB = queries_MBLP[:, None].expand(-1, C, -1, -1, -1)
        return self._run(known_MCB, queries_MCB).reshape(M * C * B, L, -1)

    def _run(self, known: Tensor, queries: Tensor) -> Tensor:
        """Run the blocks on context and mask tokens; return the latter, (sequences, queries, D)."""
        count = queries.shape[-2]
        sequence = torch.cat([known, queries], dim=-2).flatten(0, -3)
        out = self.predictor_norm(self.predictor_blocks(sequence))
        return self.predictor_proj(out[:, -count:])


def distinct_patches(targets: Tensor, num_patches: int) -> tuple[Tensor, Tensor]:
    """Return each picture's target patches once, and where each block's patches are among them.

    Args:
        targets: Shape (M, B, L).
        num_patches: Patches of the grid.

    Returns:
        Patches (B, U), ascending, U the most that a picture of the batch has; where a picture has fewer its first is
        repeated. Places in them, (M, B, L).
    """
    M, B, L = targets.shape
    flat_BQ = targets.transpose(0, 1).reshape(B, M * L)
    hidden_BN = torch.zeros(B, num_patches, dtype=torch.bool, device=targets.device).scatter_(1, flat_BQ, value=True)
    counts_B1 = hidden_BN.sum(dim=1, keepdim=True)
    order_BN = torch.argsort(~hidden_BN, dim=1, stable=True)[:, : int(counts_B1.max())]
    is_own = torch.arange(order_BN.shape[1], device=targets.device) < counts_B1
    places_BQ = (hidden_BN.cumsum(dim=1) - 1).gather(1, flat_BQ)
    return torch.where(is_own, order_BN, order_BN[:, :1]), places_BQ.reshape(B, M, L).transpose(0, 1)


class IJepa(nn.Module):
    """The three networks of a run; the target encoder starts as a copy of the context encoder.

    Args:
        config: Sizes; fresh weights come from torch's global generator.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.patch_px = config.patch_px
        self.step = 0
        self.encoder = build_encoder(config)
        self.predictor = Predictor(config)
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)

    def encode(self, pictures: Tensor, context: Tensor | None = None) -> Tensor:
        """Run the context encoder on all patches, or on those of the contexts; see `backbones.encode`."""
        return encode(self.encoder, pictures, context)

    def predict(self, pictures: Tensor, context: Tensor, targets: Tensor) -> Tensor:
        """Return the predictor's guess, shape (M * C * B, L, D); shapes as in `loss`."""
        tokens = self.encode(pictures, context)
        height, width = pictures.shape[-2:]
        grid = (height // self.patch_px, width // self.patch_px)
        return self.predictor(tokens, context[None] if context.ndim == 2 else context, targets, grid)

    @torch.no_grad()
    def targets(self, pictures: Tensor, targets: Tensor, *, contexts: int = 1) -> Tensor:
        """Return what is to be predicted: the target encoder's tokens, normalised per token.

        The target encoder sees all patches; its output goes through a layer norm without affine
        parameters (eps 1e-5) in float32 before the blocks are cut out (section 3, Targets).

        Args:
            pictures: Shape (B, 3, H, W).
            targets: Shape (M, B, L).
            contexts: How many contexts per picture the predictor was given.

        Returns:
            Shape (M * C * B, L, D), rows as in `predict`.
        """
        tokens_BND = encode(self.target_encoder, pictures).float()
        normed_BND = functional.layer_norm(tokens_BND, tokens_BND.shape[-1:])
        blocks = [gather_patches(normed_BND, block).repeat(contexts, 1, 1) for block in targets]
        return torch.cat(blocks)

    def loss(self, pictures: Tensor, context: Tensor, targets: Tensor) -> Tensor:
        """Return the mean smooth-L1 distance between guess and target.

        Differs from the paper, which writes L2; smooth-L1 is what the published models used.

        Args:
            pictures: Shape (B, 3, H, W), normalised.
            context: Visible patches, shape (B, K) or (C, B, K), int64.
            targets: Patches to predict, shape (M, B, L), int64.

        Returns:
            A scalar in float32.
        """
        contexts = 1 if context.ndim == 2 else len(context)
        wanted = self.targets(pictures, targets, contexts=contexts)
        return functional.smooth_l1_loss(self.predict(pictures, context, targets).float(), wanted)

    def forward(self, pictures: Tensor, context: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar: what several processes and `torch.compile` wrap is a module's forward."""
        return self.loss(pictures, context, targets)

    def blocks(self) -> list[nn.Module]:
        """Return the parts that hold nearly all weights, each used as a whole: what processes can share."""
        return [*stages(self.encoder), *self.predictor.predictor_blocks, *stages(self.target_encoder)]

    @torch.no_grad()
    def update_target(self, momentum: float, *, unless: Tensor | None = None) -> None:
        """Move the target encoder towards the context encoder: momentum * target + rest * context.

        Args:
            momentum: Between 0 and 1.
            unless: A scalar on the device, 0 or 1; at 1 nothing moves. Spares asking the device.
        """
        move_towards(self.target_encoder, self.encoder, momentum, unless)


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, momentum: float, unless: Tensor | None) -> None:
    """Move the weights of one network towards another's; arguments as in `IJepa.update_target`."""
    slow = [own_part(p) for p in target.parameters()]
    fast = [own_part(p) for p in source.parameters()]
    if unless is None:
        torch._foreach_mul_(slow, momentum)
        torch._foreach_add_(slow, fast, alpha=1.0 - momentum)
        return
    torch._foreach_mul_(slow, momentum + (1.0 - momentum) * unless)
    moves = torch._foreach_mul(fast, (1.0 - momentum) * (1.0 - unless))  # noqa: SLF001  few launches on a GPU
    torch._foreach_add_(slow, list(moves))


@torch.no_grad()
def copy_statistics(target: nn.Module, source: nn.Module) -> None:
    """Copy what is no weight (running means of batch norms) into a network that is never run in training."""
    for slow, fast in zip(target.buffers(), source.buffers(), strict=True):
        slow.copy_(fast)


def own_part(parameter: Tensor) -> Tensor:
    """Return the part of a parameter that this process holds: its whole shape, unless processes share it."""
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter
