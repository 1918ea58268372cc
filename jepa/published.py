"""Weights from elsewhere: published checkpoints (.pth, .pt, .tar) and safetensors files of an encoder.

Published checkpoints hold the dicts `encoder`, `predictor` and `target_encoder`, with every key
prefixed `module.`. They are read as numbers only: a pickle that wants to run code is refused. Sizes
are taken from the tensors. Knows no run.
"""

import dataclasses
import json
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor

from jepa.config import RunConfig
from jepa.errors import CheckpointError
from jepa.positions import sin_cos_table
from jepa.timm_weights import unwrapped, without_heads

Tensors = dict[str, Tensor]
PARTS = ("encoder", "predictor", "target_encoder")
CONFIG_KEY = "cytojepa_config"
"""Entry of a safetensors file's metadata: the options of the exported encoder."""
_PREFIX = "module."
_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 16}
"""Published widths and their heads; a width does not tell them."""
_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_FIELD_UM = 56.0
"""Side of the picture for an encoder that came without a scale: a cell with its surroundings."""


def read_weights_file(path: Path) -> tuple[Tensors, dict[str, Any] | None]:
    """Read a file of weights without running anything in it.

    Returns:
        Float32 tensors named `encoder.*`, `predictor.*`, `target_encoder.*` (an encoder's file gives the first
        and the last, equal), and the options that the file carries, if any.

    Raises:
        CheckpointError: Missing, damaged, of another layout, or with more than numbers in it.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name}: refused, it is damaged or holds more than numbers, which could run code. "
            "Only dicts of tensors are read; ask for a safetensors file."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name}: missing or damaged ({error}).") from error
    found = list(content) if isinstance(content, Mapping) else []
    plain = unwrapped(dict(content)) if isinstance(content, Mapping) else None
    if plain:
        return _both_encoders(plain), None
    missing = [part for part in PARTS if part not in found]
    if missing:
        raise CheckpointError(f"{path.name}: no {', '.join(missing)} in it; there are {', '.join(map(str, found))}.")
    return {f"{part}.{name}": value for part in PARTS for name, value in _numbers(path, content[part])}, None


def _numbers(path: Path, part: object) -> list[tuple[str, Tensor]]:
    if not isinstance(part, Mapping) or not all(isinstance(value, Tensor) for value in part.values()):
        raise CheckpointError(f"{path.name}: its networks are no dicts of tensors.")
    return [(str(name).removeprefix(_PREFIX), value.detach().float()) for name, value in part.items()]


def _read_safetensors(path: Path) -> tuple[Tensors, dict[str, Any] | None]:
    try:
        with safetensors.safe_open(path, "pt") as stream:
            metadata = stream.metadata() or {}
        tensors = safetensors.torch.load_file(path)
        options = json.loads(metadata[CONFIG_KEY]) if CONFIG_KEY in metadata else None
    except (OSError, safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path.name}: missing or damaged ({error}).") from error
    return _both_encoders(tensors), options


def _both_encoders(tensors: Tensors) -> Tensors:
    own = without_heads(tensors)
    return {f"{part}.{name}": value for part in ("encoder", "target_encoder") for name, value in own.items()}


def fit(weights: Tensors, base: RunConfig | None, overrides: Mapping[str, str]) -> tuple[Tensors, RunConfig]:
    """Take the sizes from the tensors, everything else from the options, and set the positions right.

    Args:
        weights: From `read_weights_file`.
        base: The other options; None: an encoder's at its own picture size, in ImageNet's colours.
        overrides: Options that replace both, as text; `heads` where the width does not tell them.

    Returns:
        Weights whose position tables belong to the options' picture size, and the options.

    Raises:
        CheckpointError: The sizes do not fit together.
        ConfigError: The options do not.
    """
    if "encoder.conv1.weight" in weights:
        base = base or _plain(224, 16)
        return weights, dataclasses.replace(base, backbone="resnet50", patch_px=16).with_overrides(dict(overrides))
    try:
        sizes = _sizes(weights, overrides)
        patches = weights["encoder.pos_embed"].shape[1]
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(f"the weights are no vision transformer of this layout ({error} is missing).") from error
    if base is None:
        image_px = math.isqrt(patches) * sizes["patch_px"]
        base = dataclasses.replace(_plain(image_px, sizes["patch_px"]), mpp=_FIELD_UM / max(1, image_px))
    config = dataclasses.replace(base, **sizes).with_overrides(dict(overrides))
    return {name: _positions(name, value, config) for name, value in weights.items()}, config


def _plain(image_px: int, patch_px: int) -> RunConfig:
    return RunConfig(image_px=image_px, patch_px=patch_px, stain_jitter=0.0, **_IMAGENET)


def _sizes(weights: Tensors, overrides: Mapping[str, str]) -> dict[str, Any]:
    patch = weights["encoder.patch_embed.proj.weight"]
    dim, hidden = patch.shape[0], weights["encoder.blocks.0.mlp.fc1.weight"].shape[0]
    heads = int(overrides.get("heads", _HEADS.get(dim, dim // 64 if dim % 64 == 0 else 0)))
    if not heads:
        raise CheckpointError(f"a width of {dim} does not tell the number of heads; give it with heads=N.")
    sizes = {"dim": dim, "depth": _depth(weights, "encoder.blocks."), "heads": heads, "patch_px": patch.shape[-1],
             "mlp_ratio": _ratio(hidden, dim)}  # fmt: skip
    if "encoder.reg_token" in weights:
        sizes["registers"] = weights["encoder.reg_token"].shape[1]
    if "predictor.mask_token" in weights:
        sizes |= {"predictor_dim": weights["predictor.mask_token"].shape[-1], "predictor_heads": heads,
                  "predictor_depth": _depth(weights, "predictor.predictor_blocks.")}  # fmt: skip
    return sizes


def _depth(weights: Tensors, prefix: str) -> int:
    return 1 + max(int(name.removeprefix(prefix).split(".")[0]) for name in weights if name.startswith(prefix))


def _ratio(hidden: int, dim: int) -> float:
    """Return a ratio that gives exactly the hidden width again when it is cut to a whole number."""
    ratio = hidden / dim
    return ratio if int(dim * ratio) == hidden else math.nextafter(ratio, math.inf)


def _positions(name: str, value: Tensor, config: RunConfig) -> Tensor:
    """Return a position table for the run's grid: a fixed one is computed, a learnt one kept, resampled or swapped."""
    if not name.endswith("pos_embed"):
        return value
    side, dim = math.isqrt(value.shape[1]), value.shape[-1]
    is_fixed = side * side == value.shape[1] and torch.allclose(
        value[0], torch.tensor(sin_cos_table((side, side), dim)), atol=1e-3
    )
    if is_fixed or config.positions == "sincos" or not name.startswith(("encoder", "target_encoder")):
        same = value.shape[1] == config.grid[0] * config.grid[1] and config.positions == "keep"
        return value if same else torch.tensor(sin_cos_table(config.grid, dim))[None]
    if value.shape[1] == config.grid[0] * config.grid[1]:
        return value
    return resample_abs_pos_embed(value, list(config.grid), [side, side], num_prefix_tokens=0)
