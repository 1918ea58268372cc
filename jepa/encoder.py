"""The frozen encoder: pictures of cells to vectors. The target encoder of a checkpoint, as evaluated."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
from numpy.typing import NDArray
from timm.models import PretrainedCfg
from torch import Tensor

from datasets.files import sha256_of_json
from jepa.backbones import Encoder, build_encoder, encode_layers, is_transformer, with_sizes_of_backbone
from jepa.checkpoint import load_weights
from jepa.config import RunConfig
from jepa.errors import CheckpointError, ConfigError
from jepa.precision import dtype_of, multiplying_in
from jepa.timm_weights import in_order, read_tensors, without_heads
from jepa.views import normalise

FALLBACK_MPP = 0.25
"""Scale taken for a crop whose um/px nobody knows: a 40x objective."""
CENTRE_UM = 9.0
"""Radius around the middle of a crop, where the nucleus is: an HSIL or LSIL nucleus fits inside."""
_FIELD_UM = 56.0
"""Side of the picture for an encoder that came without a scale: a cell with its surroundings."""
_LAYERS = {"mean": 1, "mean4": 4, "centre": 1}
_PARTS = {"mean": 1, "mean4": 4, "centre": 2}
_PREPROCESSING = 1
"""Raise when `prepare` changes: vectors before and after must not mix."""

Picture = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""


class FrozenEncoder:
    """An encoder that no longer learns, with its own preprocessing.

    Args:
        vit: The network.
        config: Sizes, scale, pooling and precision.
    """

    def __init__(self, vit: Encoder, config: RunConfig) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.config = config
        self._dtype = dtype_of(config.precision, self.device)
        self._vit = vit.eval().requires_grad_(False).to(self.device)
        self.dim = config.dim * _PARTS[config.pooling]
        self.mpp, self.image_px = config.mpp, config.image_px
        self.fingerprint = _fingerprint(vit, config)

    def prepare(self, crop: Picture, crop_mpp: float | None) -> Picture:
        """Bring a crop to the encoder's scale and cut its centre.

        Args:
            crop: Square RGB, shape (S, S, 3), uint8.
            crop_mpp: Its um/px; None is taken as a 40x objective.

        Returns:
            Shape (image_px, image_px, 3), uint8; what is missing at the edge repeats the edge.
        """
        side = round(crop.shape[0] * (crop_mpp or FALLBACK_MPP) / self.mpp)
        method = cv2.INTER_AREA if side < crop.shape[0] else cv2.INTER_CUBIC
        scaled = np.asarray(cv2.resize(crop, (side, side), interpolation=method), np.uint8)
        missing = max(0, self.image_px - side)
        if missing:
            before, after = missing // 2, missing - missing // 2
            scaled = np.pad(scaled, ((before, after), (before, after), (0, 0)), mode="edge")
        start = (scaled.shape[0] - self.image_px) // 2
        return scaled[start : start + self.image_px, start : start + self.image_px]

    @torch.inference_mode()
    def embed(self, pictures: Picture) -> NDArray[np.float32]:
        """Embed prepared pictures: patch tokens after the last norm, pooled.

        In bfloat16 where `precision` says so. The fingerprint does not tell: without their mean, vectors
        turn by half a degree (two at most, on real cells), and machines of both kinds may share a store.

        Args:
            pictures: Shape (B, image_px, image_px, 3), uint8.

        Returns:
            Shape (B, dim), float32.
        """
        light = torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255
        batch = normalise(light, self.config).to(self.device)
        with multiplying_in(self._dtype, self.device):
            return embed_batch(self._vit, batch, self.config).float().cpu().numpy()


def embed_batch(vit: Encoder, batch: Tensor, config: RunConfig) -> Tensor:
    """Pool an encoder's tokens as the configuration says: (B, 3, H, W) to (B, parts * dim).

    Differs from the paper when `pooling` is "centre": a crop is centred on its nucleus, and the mean
    of all patches alone dilutes the few that hold it.
    """
    layers = encode_layers(vit, batch, _LAYERS[config.pooling])
    parts = [tokens.mean(dim=1) for tokens in layers]
    if config.pooling == "centre":
        parts.append(layers[-1][:, _is_central(config)].mean(dim=1))
    return torch.cat(parts, dim=1)


def _is_central(config: RunConfig) -> Tensor:
    """Tell which patches lie within `CENTRE_UM` of the middle; never none of them. Shape (N,)."""
    rows, columns = (torch.arange(side) - (side - 1) / 2 for side in config.grid)
    distances_um = torch.hypot(rows[:, None], columns[None]).flatten() * config.patch_px * config.mpp
    return distances_um <= max(CENTRE_UM, float(distances_um.min()))


def load_encoder(path: Path, overrides: Mapping[str, str] | None = None) -> FrozenEncoder:
    """Load the target encoder of a checkpoint: of ours (a folder), published, or exported.

    Args:
        path: As `checkpoint.load_weights` takes it.
        overrides: Options given as text: `heads`, `mpp`, `image_px`, `pooling`, ...

    Raises:
        CheckpointError: Missing, damaged or of another layout.
    """
    weights, config = load_weights(path, overrides=overrides)
    vit = build_encoder(config)
    prefix = "target_encoder."
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    try:
        vit.load_state_dict(own, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path.name}: its target encoder has another layout: {error}") from error
    return FrozenEncoder(vit, config)


def load_timm_encoder(name: str, path: Path, overrides: Mapping[str, str] | None = None) -> FrozenEncoder:
    """Load a model of timm from a local file of its weights, with its own picture size and colours.

    A vision transformer loses its class token and gives the mean of its patch tokens, as ours do;
    another network gives its pooled features.

    Args:
        name: timm's, such as `vit_small_patch16_224`.
        path: A .safetensors or .pth file.
        overrides: Options given as text: `mpp`, `image_px`, ...

    Raises:
        ConfigError: timm has nothing of this name.
        CheckpointError: The file is missing, damaged or of another model.
    """
    is_vit, usual = is_transformer(name), timm.get_pretrained_cfg(name, allow_unregistered=True) or PretrainedCfg()
    side = usual.input_size[-1]
    options = {"backbone": name, "image_px": side, "mean": usual.mean, "std": usual.std}
    config = RunConfig.from_dict(options | {"mpp": _FIELD_UM / side, "stain_jitter": 0.0})
    config = config.with_overrides(dict(overrides or {}))
    tensors = read_tensors(path)
    if not is_vit and config.pooling != "mean":
        raise ConfigError(f"pooling = {config.pooling!r} needs patches; {name} gives one vector, so set mean.")
    if not is_vit:
        network = build_encoder(config)
        wanted = network.state_dict()
        own = {key: tensors[key.removeprefix("network.")] for key in wanted if key.removeprefix("network.") in tensors}
        network.load_state_dict(own if own.keys() == wanted.keys() else in_order(tensors, wanted))
        with torch.inference_mode():
            dim = network.eval()(torch.zeros(1, 3, side, side)).shape[-1]
        return FrozenEncoder(network, dataclasses.replace(config, dim=dim, depth=1, heads=1))
    config = with_sizes_of_backbone(config)
    network = build_encoder(config)
    try:
        network.load_state_dict(without_heads(tensors, config.grid), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path.name}: it holds the weights of another model than {name}: {error}") from error
    return FrozenEncoder(network, config)


def random_encoder(config: RunConfig, *, seed: int) -> FrozenEncoder:
    """Make the same encoder with fresh random weights: the baseline that training must beat."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FrozenEncoder(build_encoder(config), config)


def _fingerprint(vit: Encoder, config: RunConfig) -> str:
    """Return 16 hexadecimal digits over the weights and all that decides how pictures go in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(vit.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    names = ("mpp", "image_px", "patch_px", "mean", "std", "pooling", "heads", "backbone")
    settings = {name: config.to_dict()[name] for name in names} | {"version": _PREPROCESSING}
    digest.update(sha256_of_json(settings).encode())
    return digest.hexdigest()[:16]
