"""Encoders of a run: plain vision transformers, any ViT of timm, ResNet-50; all without a class token.

A plain one has fixed sin-cos positions and timm's parameter names. Knows no masks' geometry and no
training.
"""

import dataclasses
from typing import Any, TypeAlias

import timm
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from jepa.config import RunConfig
from jepa.errors import ConfigError
from jepa.positions import sin_cos_table
from jepa.resnet import DIM, STRIDE_PX, MaskedResNet

INIT_STD = 0.02
Encoder: TypeAlias = "VisionTransformer | MaskedResNet | WholePicture"


def with_sizes_of_backbone(config: RunConfig) -> RunConfig:
    """Return the options with the sizes of a named backbone: `dim`, `depth`, `heads`, `patch_px`, `mlp_ratio`.

    Raises:
        ConfigError: timm has no vision transformer of that name, or the picture does not fit it.
    """
    if config.backbone == "vit":
        return config
    if config.backbone == "resnet50":
        if config.pooling == "mean4":
            raise ConfigError("pooling = 'mean4' joins blocks of a transformer; resnet50 has mean and centre.")
        sizes: dict[str, Any] = {"dim": DIM, "depth": 1, "heads": 16, "patch_px": STRIDE_PX, "registers": 0}
        return _replaced(config, sizes)
    if not is_transformer(config.backbone):
        raise ConfigError(
            f"backbone = {config.backbone!r} cannot leave masked patches out; train a vision transformer or resnet50."
        )
    with torch.device("meta"):
        vit = _named_transformer(config)
    block: Any = vit.blocks[0]
    return _replaced(config, {
        "dim": vit.embed_dim, "depth": len(vit.blocks), "heads": block.attn.num_heads,
        "patch_px": vit.patch_embed.patch_size[0], "registers": vit.num_reg_tokens,
    })  # fmt: skip


def _replaced(config: RunConfig, sizes: dict[str, Any]) -> RunConfig:
    if config.image_px % sizes["patch_px"]:
        raise ConfigError(
            f"image_px = {config.image_px} is no multiple of {sizes['patch_px']} px, the patch of {config.backbone}."
        )
    return dataclasses.replace(config, **sizes)


def build_encoder(config: RunConfig) -> Encoder:
    """Build the encoder of a configuration with fresh weights from torch's generator.

    Args:
        config: `backbone`; of a plain one `image_px`, `patch_px`, `dim`, `depth`, `heads`, `mlp_ratio`, `registers`.

    Raises:
        ConfigError: timm has no vision transformer of that name.
    """
    if config.backbone == "vit":
        return vision_transformer(config)
    if config.backbone == "resnet50":
        return MaskedResNet()
    if not is_transformer(config.backbone):
        return WholePicture(config.backbone)
    vit = _named_transformer(config)
    vit.pos_embed = fixed_positions(config.grid, vit.embed_dim)
    initialise(vit)
    return vit


class WholePicture(nn.Module):
    """A network of timm that gives one vector for a picture; good for embedding, not for masks.

    Args:
        name: timm's.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network: Any = timm.create_model(name, pretrained=False, num_classes=0)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the pooled features of pictures, shape (B, 3, H, W), as one token, shape (B, 1, D)."""
        return self.network(pictures)[:, None]


def is_transformer(name: str) -> bool:
    """Return whether timm has a plain vision transformer of this name, one that can be given masks.

    Raises:
        ConfigError: timm has nothing of this name.
    """
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name}*")[:4]) or "vit_small_patch16_224"
        raise ConfigError(f"backbone = {name!r}: there are vit, resnet50 and timm's models, such as {near}.")
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    return isinstance(model, VisionTransformer) and model.pos_embed is not None


def _named_transformer(config: RunConfig) -> VisionTransformer:
    vit: Any = timm.create_model(
        config.backbone, pretrained=False, num_classes=0, global_pool="avg", class_token=False, fc_norm=False,
        img_size=config.image_px,
    )  # fmt: skip
    transformer: VisionTransformer = vit
    return transformer


def stages(encoder: Encoder) -> list[nn.Module]:
    """Return the parts that hold nearly all weights of an encoder, in order."""
    if isinstance(encoder, MaskedResNet):
        return [*encoder.layer1, *encoder.layer2, *encoder.layer3]
    if isinstance(encoder, WholePicture):
        return [encoder.network]
    return [*encoder.blocks]


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
        reg_tokens=config.registers,
        no_embed_class=True,
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
    """Return the sin-cos table of a grid as a frozen parameter of shape (1, rows * columns, dim); see `positions`."""
    return nn.Parameter(torch.tensor(sin_cos_table(grid, dim))[None], requires_grad=False)


def initialise(module: nn.Module) -> None:
    """Draw fresh weights: normal with deviation 0.02, biases 0, norms 1 and 0 (appendix A.1)."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(part.weight, std=INIT_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    registers = getattr(module, "reg_token", None)
    if registers is not None:
        nn.init.trunc_normal_(registers, std=INIT_STD)


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
    """Return the positions of a grid, shape (1, N, D): the module's own, or computed anew (see `positions`).

    An equal number of patches is not enough: 7 x 28 patches have other positions than 14 x 14.
    Positions that were learnt are resampled.
    """
    if grid == tuple(own_grid):
        return own
    if not is_sin_cos(own, own_grid):
        return resample_abs_pos_embed(own, list(grid), list(own_grid), num_prefix_tokens=0)
    return torch.tensor(sin_cos_table(grid, own.shape[-1]), device=own.device, dtype=own.dtype)[None]


def is_sin_cos(table: Tensor, grid: tuple[int, int]) -> bool:
    """Return whether positions of shape (1, N, D) are the fixed table of a grid."""
    own = torch.tensor(sin_cos_table(grid, table.shape[-1]), device=table.device, dtype=table.dtype)
    return own.shape == table.shape[1:] and torch.allclose(table[0], own, atol=1e-3)


def encode(encoder: Encoder, pictures: Tensor, kept: Tensor | None = None) -> Tensor:
    """Run the encoder on all patches or on the kept ones only.

    Args:
        encoder: Of this module.
        pictures: Shape (B, 3, H, W), normalised.
        kept: None, or the patches that stay visible: shape (B, K), int64. For several contexts of
            the same pictures (C, B, K).

    Returns:
        Tokens after the last norm: (B, N, D), or (C * B, K, D) context-major. Registers are left out.
    """
    contexts = None if kept is None else kept[None] if kept.ndim == 2 else kept
    if isinstance(encoder, MaskedResNet):
        return encoder(pictures) if contexts is None else torch.cat([encoder(pictures, each) for each in contexts])
    if isinstance(encoder, WholePicture):
        return encoder(pictures)
    tokens = patch_tokens(encoder, pictures)
    if contexts is not None:
        tokens = torch.cat([gather_patches(tokens, context) for context in contexts])
    return encoder.norm(encoder.blocks(_with_registers(encoder, tokens)))[:, encoder.num_prefix_tokens :]


def _with_registers(vit: VisionTransformer, tokens: Tensor) -> Tensor:
    if vit.reg_token is not None:
        tokens = torch.cat([vit.reg_token.expand(len(tokens), -1, -1), tokens], dim=1)
    return vit.norm_pre(tokens)


def encode_layers(encoder: Encoder, pictures: Tensor, layers: int, *, is_normed: bool = True) -> list[Tensor]:
    """Return the tokens of the last `layers` blocks, each after the final norm or as they are.

    Args:
        encoder: Of this module; what is no transformer has one layer.
        pictures: Shape (B, 3, H, W), normalised.
        layers: At least 1; as many as there are blocks when it is larger.
        is_normed: Put each block's output through the final norm.

    Returns:
        First to last, each of shape (B, N, D).
    """
    if isinstance(encoder, MaskedResNet | WholePicture):
        return [encoder(pictures)]
    tokens = _with_registers(encoder, patch_tokens(encoder, pictures))
    outputs = []
    for index, block in enumerate(encoder.blocks):
        tokens = block(tokens)
        if index >= len(encoder.blocks) - layers:
            patches = tokens[:, encoder.num_prefix_tokens :]
            outputs.append(encoder.norm(patches) if is_normed else patches)
    return outputs
