"""Weights files of timm's models, brought to this package's layout. Knows no run.

The class token goes, with its position; classifier heads go; loaded weights are never rescaled.
"""

import logging
import math
import pickle
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor

from jepa.errors import CheckpointError

LOG = logging.getLogger(__name__)
Tensors = dict[str, Tensor]
_HEADS = ("head.", "head_dist.", "fc.", "classifier.", "pre_logits.")
_WRAPPERS = ("model", "state_dict", "model_ema")


def read_tensors(path: Path) -> Tensors:
    """Read a file of tensors without running anything in it.

    Raises:
        CheckpointError: Missing, damaged, or with more than tensors in it.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        tensors = unwrapped(dict(torch.load(path, map_location="cpu", weights_only=True)))
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path.name}: refused, it is damaged or holds more than numbers.") from error
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path.name}: missing or damaged ({error}).") from error
    if tensors is None:
        raise CheckpointError(f"{path.name}: it holds no plain dict of tensors.")
    return tensors


def unwrapped(content: dict[str, object]) -> Tensors | None:
    """Return the tensors of a loaded file, None when it holds something else."""
    for name in _WRAPPERS:
        inner = content.get(name)
        if isinstance(inner, dict):
            content = inner
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return tensors if tensors and len(tensors) == len(content) else None


def without_heads(tensors: Tensors, grid: tuple[int, int] | None = None) -> Tensors:
    """Return an encoder's tensors in float32 where they are numbers: no class token, no classifier, one `norm`.

    Args:
        tensors: timm's names.
        grid: Rows and columns to which the positions are resampled; None: as they are.

    Raises:
        CheckpointError: The positions belong to no square of patches.
    """
    kept = {name: value for name, value in tensors.items() if not name.startswith(_HEADS) and name != "cls_token"}
    kept = {name: value.float() if value.is_floating_point() else value for name, value in kept.items()}
    if "layer3.0.conv1.weight" in kept and "conv1.weight" in kept:
        kept = {name: value for name, value in kept.items() if not name.startswith("layer4.")}
        dim = kept["layer3.0.conv3.weight"].shape[0]
        return {"norm.weight": torch.ones(dim), "norm.bias": torch.zeros(dim), **kept}
    for part in ("weight", "bias"):
        if f"fc_norm.{part}" in kept:
            kept[f"norm.{part}"] = kept.pop(f"fc_norm.{part}")
    if "pos_embed" in kept:
        table = _patch_positions(kept["pos_embed"], prefixes=_prefixes(tensors))
        side = math.isqrt(table.shape[1])
        is_other = grid is not None and grid != (side, side)
        kept["pos_embed"] = (
            resample_abs_pos_embed(table, list(grid), [side, side], num_prefix_tokens=0) if grid and is_other else table
        )
    return kept


def _prefixes(tensors: Tensors) -> list[int]:
    """Return how many positions may stand before those of the patches: none, the class token's, all prefixes'."""
    registers = tensors["reg_token"].shape[1] if "reg_token" in tensors else 0
    return [0, 1, 1 + registers]


def _patch_positions(table: Tensor, prefixes: list[int]) -> Tensor:
    for count in prefixes:
        patches = table.shape[1] - count
        if math.isqrt(patches) ** 2 == patches:
            return table[:, count:]
    raise CheckpointError(f"pos_embed has {table.shape[1]} places, which are no square of patches.")


def in_order(tensors: Tensors, wanted: Tensors) -> Tensors:
    """Give a file's tensors the names of a model, by their order, when only names differ.

    Raises:
        CheckpointError: The shapes differ too.
    """
    plain = {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
    names = [name for name in wanted if not name.endswith("num_batches_tracked")]
    values = list(plain.values())[: len(names)]
    if [value.shape for value in values] != [wanted[name].shape for name in names]:
        raise CheckpointError("the weights are of another model: names and shapes differ.")
    LOG.warning("the weights have other names; their shapes fit in order, so they are taken in that order.")
    return {**wanted, **dict(zip(names, (value.float() for value in values), strict=True))}
