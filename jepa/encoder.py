"""The frozen encoder: pictures of cells to vectors. The target encoder of a checkpoint, as evaluated."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from datasets.files import sha256_of_json
from jepa.backbones import encode_layers, vision_transformer
from jepa.checkpoint import load_weights
from jepa.config import RunConfig
from jepa.data import normalise
from jepa.errors import CheckpointError

FALLBACK_MPP = 0.25
"""Scale taken for a crop whose um/px nobody knows: a 40x objective."""
CENTRE_UM = 9.0
"""Radius around the middle of a crop, where the nucleus is: an HSIL or LSIL nucleus fits inside."""
_LAYERS = {"mean": 1, "mean4": 4, "centre": 1}
_PARTS = {"mean": 1, "mean4": 4, "centre": 2}
_PREPROCESSING = 1
"""Raise when `prepare` changes: vectors before and after must not mix."""

Picture = NDArray[np.uint8]


class FrozenEncoder:
    """An encoder that no longer learns, with its own preprocessing.

    Args:
        vit: The transformer.
        config: Sizes, scale and pooling.
    """

    def __init__(self, vit: VisionTransformer, config: RunConfig) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.config = config
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

        Args:
            pictures: Shape (B, image_px, image_px, 3), uint8.

        Returns:
            Shape (B, dim), float32.
        """
        light = torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255
        batch = normalise(light, self.config).to(self.device)
        return embed_batch(self._vit, batch, self.config).float().cpu().numpy()


def embed_batch(vit: VisionTransformer, batch: Tensor, config: RunConfig) -> Tensor:
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
    vit = vision_transformer(config)
    prefix = "target_encoder."
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    try:
        vit.load_state_dict(own, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path.name}: its target encoder has another layout: {error}") from error
    return FrozenEncoder(vit, config)


def random_encoder(config: RunConfig, *, seed: int) -> FrozenEncoder:
    """Make the same encoder with fresh random weights: the baseline that training must beat."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FrozenEncoder(vision_transformer(config), config)


def _fingerprint(vit: VisionTransformer, config: RunConfig) -> str:
    """Return 16 hexadecimal digits over the weights and all that decides how pictures go in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(vit.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    names = ("mpp", "image_px", "patch_px", "mean", "std", "pooling", "heads")
    settings = {name: config.to_dict()[name] for name in names} | {"version": _PREPROCESSING}
    digest.update(sha256_of_json(settings).encode())
    return digest.hexdigest()[:16]
