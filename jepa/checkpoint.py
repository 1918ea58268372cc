"""Checkpoints that survive kill and power cut: safetensors and a manifest, never code.

    <folder>/step-001000/{model,optimiser}.safetensors
    <folder>/step-001000/manifest.json      sizes and SHA-256 of both, step, options, parent

The manifest is written last, after fsync: a folder without it does not exist for us. A changed byte
is found by its hash, and the checkpoint before is taken, with a warning.
"""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from datasets.files import sha256_of_file, sync_folder, write_atomically, write_json
from jepa.config import RunConfig
from jepa.errors import CheckpointError

LOG = logging.getLogger(__name__)
KEPT = 2
MODEL_FILE, OPTIMISER_FILE, MANIFEST_FILE = (
    "model.safetensors",
    "optimiser.safetensors",
    "manifest.json",
)

Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A verified checkpoint in memory."""

    folder: Path
    step: int
    """Steps done."""
    config: RunConfig
    model: Tensors
    """`encoder.*`, `predictor.*`, `target_encoder.*`."""
    optimiser: Tensors
    """AdamW's moments by parameter name."""
    pack_hash: str
    """Parent: the tiles that it was trained on."""


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    config: RunConfig,
    model: Tensors,
    optimiser: Tensors,
    pack_hash: str,
) -> Path:
    """Write a checkpoint and drop all but the last two.

    Returns:
        The checkpoint's own folder.

    Raises:
        OSError: The disk is full; earlier checkpoints are untouched.
    """
    target = folder / f"step-{step:07d}"
    files = {}
    for name, tensors in ((MODEL_FILE, model), (OPTIMISER_FILE, optimiser)):
        write_atomically(target / name, safetensors.torch.save(_on_cpu(tensors)))
        files[name] = sha256_of_file(target / name)
    manifest = {"step": step, "config": config.to_dict(), "pack_hash": pack_hash, "sha256": files}
    write_json(target / MANIFEST_FILE, manifest)
    sync_folder(folder)
    for old in _folders(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint after checking every byte.

    Raises:
        CheckpointError: Missing, incomplete or damaged.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_text())
        for name, sha256 in manifest["sha256"].items():
            if sha256_of_file(folder / name) != sha256:
                raise CheckpointError(f"checkpoint {folder.name}: {name} is damaged (its hash differs).")
        return Checkpoint(
            folder=folder, step=manifest["step"], config=RunConfig.from_dict(manifest["config"]),
            model=safetensors.torch.load_file(folder / MODEL_FILE),
            optimiser=safetensors.torch.load_file(folder / OPTIMISER_FILE),
            pack_hash=manifest["pack_hash"],
        )  # fmt: skip
    except (OSError, KeyError, json.JSONDecodeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"checkpoint {folder}: missing or incomplete ({error}).") from error


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that is whole, None when there is none."""
    for candidate in reversed(_folders(folder)):
        try:
            return load_checkpoint(candidate).folder
        except CheckpointError as error:
            LOG.warning("%s The one before is taken.", error)
    return None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if (path / MANIFEST_FILE).exists())


def _on_cpu(tensors: Tensors) -> Tensors:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: dict[Tensor, str]) -> Tensors:
    """Return an optimiser's state as named tensors: `<parameter>.<moment>`."""
    return {
        f"{names[parameter]}/{key}": value
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, names: dict[Tensor, str], tensors: Tensors) -> None:
    """Put named tensors back into an optimiser's state."""
    for parameter, name in names.items():
        own = {key: tensors[f"{name}/{key}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{name}/{key}" in tensors}
        if own:
            moments = {key: value if key == "step" else value.to(parameter.device) for key, value in own.items()}
            optimiser.state[parameter] = moments
