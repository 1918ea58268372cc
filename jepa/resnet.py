"""ResNet-50 as context and target encoder: masked dense convolutions on the stride-16 map.

After SparK (Tian et al. 2023, section 3.1) and CNN-JEPA (Kalapos and Gyires-Toth 2024, section 3.2):
hidden places are set to zero after every convolution and pooling, so that nothing about them reaches
a visible one, and batch normalisation counts visible places only. A convolution computes hidden
places all the same: unlike a transformer's, a context is no cheaper than the whole picture.

`B` pictures, `N` places of the map (row-major), `K` visible ones, `D` = 1024 channels.
"""

from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from jepa.errors import ConfigError

STRIDE_PX = 16
DIM = 1024


class MaskedResNet(nn.Module):
    """timm's `resnet50` up to its third stage, then a layer norm of each place.

    The fourth stage is left out: on its stride-32 map, 7 x 7 places at 224 px, blocks are too coarse.
    """

    def __init__(self) -> None:
        super().__init__()
        full: Any = timm.create_model("resnet50", pretrained=False, num_classes=0)
        self.conv1: nn.Module = full.conv1
        self.bn1: nn.BatchNorm2d = full.bn1
        self.act1: nn.Module = full.act1
        self.maxpool: nn.Module = full.maxpool
        self.layer1: nn.Sequential = full.layer1
        self.layer2: nn.Sequential = full.layer2
        self.layer3: nn.Sequential = full.layer3
        self.norm = nn.LayerNorm(DIM, eps=1e-6)

    def forward(self, pictures: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return the places of the stride-16 map.

        Args:
            pictures: Shape (B, 3, H, W), normalised; sides are multiples of 16 px.
            kept: None, or the visible places, shape (B, K), int64.

        Returns:
            (B, N, D), or (B, K, D) for visible places.

        Raises:
            ConfigError: A side is no multiple of 16 px.
        """
        height, width = pictures.shape[-2:]
        if height % STRIDE_PX or width % STRIDE_PX:
            raise ConfigError(f"{width} x {height} px is no whole number of patches of {STRIDE_PX} px.")
        visible = None if kept is None else _visible_map(kept, height // STRIDE_PX, width // STRIDE_PX)
        first = self.conv1(pictures if visible is None else pictures * _at(visible, pictures))
        out = hide(self.maxpool(self.act1(visible_norm(self.bn1, hide(first, visible), visible))), visible)
        for stage in (self.layer1, self.layer2, self.layer3):
            for block in stage:
                out = _bottleneck(block, out, visible)
        tokens = self.norm(out.flatten(2).transpose(1, 2))
        if kept is None:
            return tokens
        return tokens[torch.arange(len(tokens), device=tokens.device)[:, None], kept]


def hide(values: Tensor, visible: Tensor | None) -> Tensor:
    """Set hidden places of a map's values (B, C, h, w) to zero; `visible` is (B, 1, rows, columns) of 0 and 1."""
    return values if visible is None else values * _at(visible, values)


def visible_norm(norm: nn.BatchNorm2d, values: Tensor, visible: Tensor | None) -> Tensor:
    """Apply a batch norm whose statistics count visible places only; hidden ones are zero afterwards.

    Args:
        norm: In training its running statistics are moved, as usual.
        values: Shape (B, C, h, w), zero at hidden places.
        visible: None when all are visible.
    """
    if visible is None:
        return norm(values)
    mask = _at(visible, values)
    if not norm.training:
        return norm(values) * mask
    wide = values.float()
    count = mask.sum()
    mean = wide.sum((0, 2, 3)) / count
    centred = (wide - mean[:, None, None]) * mask
    variance = centred.square().sum((0, 2, 3)) / count
    _move_statistics(norm, mean.detach(), (variance * count / (count - 1).clamp_min(1)).detach())
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return ((centred * scale[:, None, None] + norm.bias[:, None, None]) * mask).to(values.dtype)


@torch.no_grad()
def _move_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.running_mean.lerp_(mean, norm.momentum or 0.1)
    norm.running_var.lerp_(variance, norm.momentum or 0.1)
    norm.num_batches_tracked += 1


def _bottleneck(block: Any, values: Tensor, visible: Tensor | None) -> Tensor:
    """Run a bottleneck block of timm's ResNet; hidden places stay zero at every step."""
    shortcut = values
    if block.downsample is not None:
        conv, norm = block.downsample[0], block.downsample[1]
        shortcut = visible_norm(norm, hide(conv(values), visible), visible)
    out = block.act1(visible_norm(block.bn1, hide(block.conv1(values), visible), visible))
    out = block.act2(visible_norm(block.bn2, hide(block.conv2(out), visible), visible))
    out = visible_norm(block.bn3, hide(block.conv3(out), visible), visible)
    return block.act3(out + shortcut)


def _visible_map(kept: Tensor, rows: int, columns: int) -> Tensor:
    flags = torch.zeros(len(kept), rows * columns, device=kept.device)
    return flags.scatter_(1, kept, 1.0).reshape(len(kept), 1, rows, columns)


def _at(visible: Tensor, values: Tensor) -> Tensor:
    """Return the map of visible places at the resolution of some values."""
    return functional.interpolate(visible, size=values.shape[-2:], mode="nearest").to(values.dtype)
