"""Vision transformers without a class token, with fixed positions: timm's blocks, our token path.

Parameter names are timm's. Knows no masks' geometry and no training.
"""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from jepa.config import RunConfig
from jepa.errors import ConfigError
from jepa.positions import sin_cos_table

INIT_STD = 0.02


def vision_transformer(config: RunConfig) -> VisionTransformer:
    """Build the encoder of a configuration with fresh weights from torch's generator.

    Args:
        config: `image_px`, `patch_px`, `dim`, `depth` and `heads` are used.

    Returns:
        A transformer whose `pos_embed` is the fixed sin-cos table and gets no gradient.
    """
    vit = VisionTransformer(
        img_size=config.image_px,
        patch_size=config.patch_px,
        embed_dim=config.dim,
        depth=config.depth,
        num_heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        num_classes=0,
        class_token=False,
        global_pool="avg",
        # timm would otherwise move the last norm behind the pooling and change its name.
        fc_norm=False,
        weight_init="skip",
    )
    vit.pos_embed = fixed_positions(config.grid, config.dim)
    initialise(vit)
    return vit


def fixed_positions(grid: tuple[int, int], dim: int) -> nn.Parameter:
    """Return the sin-cos table of a grid as a frozen parameter of shape (1, rows * columns, dim)."""
    return nn.Parameter(torch.tensor(sin_cos_table(grid, dim))[None], requires_grad=False)


def initialise(module: nn.Module) -> None:
    """Draw fresh weights: normal with deviation 0.02, biases 0, norms 1 and 0 (appendix A.1)."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(part.weight, std=INIT_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def gather_patches(tokens: Tensor, indices: Tensor) -> Tensor:
    """Pick patches of each picture.

    Args:
        tokens: Shape (B, N, D), or (1, N, D) for a table that all pictures share.
        indices: Shape (B, K), int64.

    Returns:
        Shape (B, K, D).
    """
    if len(tokens) == 1:
        return tokens[0][indices]
    rows = torch.arange(len(tokens), device=tokens.device)[:, None]
    return tokens[rows, indices]


def patch_tokens(vit: VisionTransformer, pictures: Tensor) -> Tensor:
    """Embed the patches of pictures and add their positions.

    Args:
        vit: An encoder of this module.
        pictures: Shape (B, 3, H, W), normalised; H and W are multiples of the patch's side and may
            differ from the size the encoder was built for: the positions are computed anew.

    Returns:
        Shape (B, N, D), row-major.

    Raises:
        ConfigError: A side is no multiple of the patch's side.
    """
    side = vit.patch_embed.patch_size[0]
    height, width = pictures.shape[-2:]
    if height % side or width % side:
        raise ConfigError(f"{width} x {height} px is no whole number of patches of {side} px.")
    tokens = vit.patch_embed.proj(pictures).flatten(2).transpose(1, 2)
    assert vit.pos_embed is not None
    return tokens + positions_for((height // side, width // side), vit.patch_embed.grid_size, vit.pos_embed)


def positions_for(grid: tuple[int, int], own_grid: tuple[int, int], own: Tensor) -> Tensor:
    """Return the positions of a grid, shape (1, N, D): the module's own, or computed anew for another grid.

    An equal number of patches is not enough: 7 x 28 patches have other positions than 14 x 14.
    """
    if grid == tuple(own_grid):
        return own
    return torch.tensor(sin_cos_table(grid, own.shape[-1]), device=own.device, dtype=own.dtype)[None]


def encode(vit: VisionTransformer, pictures: Tensor, kept: Tensor | None = None) -> Tensor:
    """Run the encoder on all patches or on the kept ones only.

    Args:
        vit: An encoder of this module.
        pictures: Shape (B, 3, H, W), normalised.
        kept: None, or the patches that stay visible: shape (B, K), int64. For several contexts of
            the same pictures (C, B, K).

    Returns:
        Tokens after the last norm: (B, N, D), or (C * B, K, D) context-major.
    """
    tokens = patch_tokens(vit, pictures)
    if kept is not None:
        contexts = kept[None] if kept.ndim == 2 else kept
        tokens = torch.cat([gather_patches(tokens, context) for context in contexts])
    return vit.norm(vit.blocks(tokens))


def encode_layers(vit: VisionTransformer, pictures: Tensor, layers: int, *, is_normed: bool = True) -> list[Tensor]:
    """Return the tokens of the last `layers` blocks, each after the final norm or as they are.

    Args:
        vit: An encoder of this module.
        pictures: Shape (B, 3, H, W), normalised.
        layers: At least 1; as many as there are blocks when it is larger.
        is_normed: Put each block's output through the final norm.

    Returns:
        First to last, each of shape (B, N, D).
    """
    tokens = patch_tokens(vit, pictures)
    outputs = []
    for index, block in enumerate(vit.blocks):
        tokens = block(tokens)
        if index >= len(vit.blocks) - layers:
            outputs.append(vit.norm(tokens) if is_normed else tokens)
    return outputs
