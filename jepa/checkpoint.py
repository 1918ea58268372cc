"""Checkpoints that survive kill and power cut: safetensors and a manifest, never code.

    <folder>/step-001000/{model,optimiser}.safetensors
    <folder>/step-001000/manifest.json      sizes and SHA-256 of both, step, options, parent

The manifest is written last, after fsync: a folder without it does not exist for us. A changed byte
is found by its hash, and the checkpoint before is taken, with a warning.

    weights, config = load_weights(Path("published.pth.tar"))       # also a folder, or a safetensors file
    export_encoder(Path("step-001000"), Path("encoder.safetensors"))  # for timm; load_weights reads it back
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from datasets.files import sha256_of_file, sync_folder, write_atomically, write_json
from jepa.config import RunConfig
from jepa.errors import CheckpointError
from jepa.published import CONFIG_KEY, Tensors, fit, read_weights_file

LOG = logging.getLogger(__name__)
KEPT = 2
MODEL_FILE, OPTIMISER_FILE, MANIFEST_FILE = (
    "model.safetensors",
    "optimiser.safetensors",
    "manifest.json",
)


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
    """AdamW's moments, `<parameter>/<moment>`."""
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
    """Write a checkpoint and drop all but the last two, and what killed runs left half written.

    Args:
        folder: Of the run's checkpoints.
        step: Steps done.
        config: Of the run.
        model: Weights by name, as in `Checkpoint`.
        optimiser: AdamW's moments by name, as in `Checkpoint`.
        pack_hash: The tiles that it was trained on.

    Returns:
        The checkpoint's own folder.

    Raises:
        OSError: The disk is full; earlier checkpoints are untouched, nothing half written stays.
    """
    target = folder / f"step-{step:07d}"
    for broken in folder.glob("step-*"):
        if not (broken / MANIFEST_FILE).exists():
            shutil.rmtree(broken)
    try:
        _write(target, step, config, {MODEL_FILE: model, OPTIMISER_FILE: optimiser}, pack_hash)
    except OSError:
        if not (target / MANIFEST_FILE).exists():
            shutil.rmtree(target, ignore_errors=True)
        raise
    sync_folder(folder)
    for old in _folders(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def _write(folder: Path, step: int, config: RunConfig, parts: dict[str, Tensors], pack_hash: str) -> None:
    files = {}
    for name, tensors in parts.items():
        write_atomically(folder / name, safetensors.torch.save(_on_cpu(tensors)))
        files[name] = sha256_of_file(folder / name)
    manifest = {"step": step, "config": config.to_dict(), "pack_hash": pack_hash, "sha256": files}
    write_json(folder / MANIFEST_FILE, manifest)


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


def set_aside(folder: Path, *, after_step: int) -> None:
    """Rename checkpoints of later steps to `damaged-...`: a run goes on from before them.

    Left in place they would count among the last two, and push whole ones out.
    """
    for path in _folders(folder):
        if int(path.name.removeprefix("step-")) > after_step:
            aside = path.with_name(f"damaged-{path.name}")
            if aside.exists():
                shutil.rmtree(aside)
            path.rename(aside)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that is whole, None when there is none."""
    for candidate in reversed(_folders(folder)):
        try:
            return load_checkpoint(candidate).folder
        except CheckpointError as error:
            LOG.warning("%s The one before is taken.", error)
    return None


def load_weights(
    path: Path, base: RunConfig | None = None, overrides: Mapping[str, str] | None = None
) -> tuple[Tensors, RunConfig]:
    """Load weights to embed with or to train on: a checkpoint's folder or a file from elsewhere.

    Args:
        path: A folder of this module, a published checkpoint (.pth, .pt, .tar: dicts `encoder`,
            `predictor`, `target_encoder`), or a safetensors file of an encoder.
        base: Options of the run that starts from them; None: the weights' own. Sizes always come
            from the weights; positions are computed anew where `image_px` differs.
        overrides: Options given as text, such as `{"heads": "6"}` where a width does not tell them.

    Returns:
        Tensors `encoder.*`, `target_encoder.*` and, unless only an encoder was there,
        `predictor.*`; and the options that describe them.

    Raises:
        CheckpointError: Missing, damaged, of another layout, or holding more than numbers.
        ConfigError: The options do not fit together.
    """
    if path.is_dir():
        checkpoint = load_checkpoint(path)
        weights, own = checkpoint.model, checkpoint.config
    else:
        weights, options = read_weights_file(path)
        if options is None:
            return fit(weights, base, overrides or {})
        own = RunConfig.from_dict(options)
    if base is None and not overrides:
        return weights, own
    heads = {"heads": str(own.heads), "predictor_heads": str(own.predictor_heads)}
    return fit(weights, base or own, heads | dict(overrides or {}))


def export_encoder(folder: Path, out: Path) -> tuple[str, int]:
    """Write a checkpoint's target encoder as one safetensors file that timm loads strictly.

    Names are timm's (`VisionTransformer(class_token=False, global_pool="avg", fc_norm=False,
    num_classes=0)`); the options travel in the metadata, so that `load_weights` loses nothing.

    Args:
        folder: A checkpoint's folder, or any file that `load_weights` reads.
        out: The file to write.

    Returns:
        The file's SHA-256 and the number of its tensors.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
    """
    weights, config = load_weights(folder)
    prefix = "target_encoder."
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    # One entry only: safetensors writes several in any order, and the same encoder shall give the same bytes.
    metadata = {CONFIG_KEY: json.dumps(config.to_dict(), sort_keys=True)}
    write_atomically(out, safetensors.torch.save(_on_cpu(own), metadata))
    return sha256_of_file(out), len(own)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if (path / MANIFEST_FILE).exists())


def _on_cpu(tensors: Tensors) -> Tensors:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
