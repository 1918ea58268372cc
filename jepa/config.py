"""The options of a pretraining run: one frozen dataclass, to and from TOML. Knows no torch."""

import dataclasses
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tomlkit

from jepa.errors import ConfigError

TARGET_PASSES = ("joint", "separate")
MASK_RULES = ("own", "published")
PRECISIONS = ("auto", "float32", "bfloat16")
SHARDINGS = ("ddp", "fsdp")
POOLINGS = ("mean", "mean4", "centre")
_WORDS = {"target_passes": TARGET_PASSES, "pooling": POOLINGS, "mask_rule": MASK_RULES, "precision": PRECISIONS,
          "sharding": SHARDINGS}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Everything that decides what a run computes; equal options and tiles give equal weights."""

    mpp: float = 0.5
    """Micrometres per pixel of the pictures that the encoder sees."""
    image_px: int = 112
    """Side of the square picture that the encoder sees."""
    patch_px: int = 8
    """Side of one patch (one token)."""
    mean: tuple[float, float, float] = (0.82, 0.8, 0.82)
    """Subtracted from the channels (red, green, blue) after division by 255."""
    std: tuple[float, float, float] = (0.2, 0.2, 0.2)
    """Divides the channels afterwards."""
    pooling: str = "mean"
    """Embedding of a picture: "mean" of the last block's tokens; "mean4" joins the means of the last
    4 blocks; "centre" joins the mean of all patches and the mean of those within 9 um of the middle."""

    dim: int = 192
    """Width of the encoder."""
    depth: int = 12
    """Blocks of the encoder."""
    heads: int = 3
    """Attention heads of the encoder."""
    mlp_ratio: float = 4.0
    """Width of the encoder's hidden layers over `dim`."""
    predictor_dim: int = 96
    """Width of the predictor."""
    predictor_depth: int = 4
    """Blocks of the predictor."""
    predictor_heads: int = 3
    """Attention heads of the predictor."""
    target_passes: str = "joint"
    """"joint": all target blocks in one pass (1.3-2 x faster); "separate": one each, as published."""

    num_targets: int = 4
    """Target blocks per picture."""
    target_scale: tuple[float, float] = (0.15, 0.2)
    """Smallest and largest area of a target block, as a share of the grid."""
    target_aspect: tuple[float, float] = (0.75, 1.5)
    """Smallest and largest height over width of a target block."""
    context_scale: tuple[float, float] = (0.85, 1.0)
    """Smallest and largest area of the context block, as a share of the grid."""
    min_context: int = 4
    """Fewest patches that a context may keep."""
    mask_rule: str = "own"
    """"own": every patch is reachable; "published": the sampler of the published runs, faults included."""
    stain_jitter: float = 0.05
    """Largest relative change of a channel's optical density; 0 switches it off."""
    dihedral: bool = True
    """Turn and mirror the pictures: eight equally good views."""
    crop_scale: tuple[float, float] = (1.0, 1.0)
    """Area of the random crop as a share of the tile, resized to `image_px`; (1, 1): crops only shift."""

    batch_size: int = 64
    """Pictures per step, over all processes."""
    steps: int = 1000
    """Optimiser steps."""
    epochs: float | None = None
    """Passes over the tiles; given, it decides `steps` (whole batches only)."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises."""
    warmup_epochs: float | None = None
    """Length of that rise in epochs; given together with `epochs`, it decides `warmup`."""
    schedule_scale: float = 1.0
    """How much longer than the run the schedules are (after the rise): the run ends before they do."""
    lr: float = 5e-4
    """Peak learning rate."""
    start_lr: float = 1e-4
    """Learning rate where the rise begins."""
    final_lr: float = 1e-6
    """Learning rate of the last step."""
    weight_decay: float = 0.05
    """Of the first step."""
    final_weight_decay: float = 0.05
    """Of the last step."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Of AdamW."""
    ema: float = 0.996
    """Momentum of the target encoder at the first step."""
    final_ema: float = 1.0
    """Momentum of the target encoder at the last step."""
    clip_norm: float | None = 1.0
    """Longest gradient; a longer one is scaled down. None: never."""

    max_minutes: float | None = None
    """The run ends after this time at the latest, whatever `steps` says. None: no limit."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    monitor_every: int = 200
    """Steps between looks at the hold-out."""
    holdout_tiles: int = 512
    """Tiles kept out of training for the monitor (at most a tenth of them)."""
    seed: int = 0
    """The only source of chance."""
    precision: str = "auto"
    """Of the networks' products: "float32", "bfloat16", or "auto": bfloat16 on a GPU, else float32."""
    compile: bool = False
    """Compile the networks (torch.compile): minutes at the start, faster steps on a GPU afterwards."""
    sharding: str = "ddp"
    """Several processes: "ddp" each hold all weights, "fsdp" share them (for ViT-H and larger)."""

    def __post_init__(self) -> None:
        problems = [sentence for is_wrong, sentence in self._checks() if is_wrong]
        if problems:
            raise ConfigError(" ".join(problems))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return (self.image_px // self.patch_px, self.image_px // self.patch_px)

    def for_tiles(self, tiles: int) -> Self:
        """Return the run with `epochs` and `warmup_epochs` turned into `steps` and `warmup`.

        As published, an epoch has only whole batches and a fraction of a step is cut off.
        """
        if self.epochs is None:
            return self
        steps_per_epoch = tiles // self.batch_size
        steps = int(self.epochs * steps_per_epoch)
        rise = self.warmup if self.warmup_epochs is None else int(self.warmup_epochs * steps_per_epoch) / max(1, steps)
        return dataclasses.replace(self, steps=steps, warmup=rise)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a run file: `preset = "NAME"` is optional, every other key is an option of this class.

        Raises:
            ConfigError: The file is no TOML, or an option is unknown or of the wrong kind.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"the run file is no valid TOML: {error}.") from error
        preset = values.pop("preset", None)
        if preset is not None and preset not in PRESETS:
            raise ConfigError(f"preset = {preset!r} is unknown; there are {', '.join(PRESETS)}.")
        base = dataclasses.asdict(PRESETS[preset]) if preset else {}
        return cls.from_dict(base | values)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make a configuration from plain values, for example from a checkpoint's manifest.

        Raises:
            ConfigError: An option is unknown or of the wrong kind.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise ConfigError(f"option {name!r} is unknown; there are {', '.join(known)}.")
        defaults = {name: field.default for name, field in known.items()}
        return cls(**{name: _fit(name, value, defaults[name]) for name, value in values.items()})

    def with_overrides(self, overrides: dict[str, str]) -> Self:
        """Return a copy with some options replaced, given as text: `{"steps": "200"}`.

        Raises:
            ConfigError: An option is unknown or the text does not fit it.
        """
        values = {name: _from_text(text) for name, text in overrides.items()}
        return type(self).from_dict(dataclasses.asdict(self) | values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can carry."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def to_toml(self) -> str:
        """Return the text of a run file; options that are None are left out."""
        return tomlkit.dumps({k: v for k, v in self.to_dict().items() if v is not None})

    def _checks(self) -> list[tuple[bool, str]]:
        scales = (*self.target_scale, *self.context_scale, *self.crop_scale)
        sizes = (self.dim, self.depth, self.heads, self.predictor_dim, self.predictor_depth,
                 self.predictor_heads, self.num_targets, self.batch_size, self.steps, self.patch_px,
                 self.checkpoint_every, self.monitor_every)  # fmt: skip
        return [
            (min(sizes) < 1, "Sizes, steps and counts must be at least 1."),
            (self.patch_px > 0 and self.image_px % self.patch_px != 0,
             f"image_px = {self.image_px} is no multiple of patch_px = {self.patch_px}."),
            (self.heads > 0 and (self.dim % 4 or self.dim % self.heads) != 0,
             f"dim = {self.dim} must be a multiple of 4 and of heads = {self.heads}."),
            (self.predictor_heads > 0 and (self.predictor_dim % 4 or self.predictor_dim % self.predictor_heads) != 0,
             f"predictor_dim = {self.predictor_dim} must be a multiple of 4 and of {self.predictor_heads} heads."),
            *((getattr(self, name) not in there, f"{name} = {getattr(self, name)!r}; there are {', '.join(there)}.")
              for name, there in _WORDS.items()),
            (min(scales) <= 0 or max(scales) > 1, "Scales of blocks lie between 0 and 1."),
            (min(self.mpp, self.mlp_ratio, *self.std) <= 0, "mpp, mlp_ratio and std must be positive."),
            (self.schedule_scale < 1, "schedule_scale is at least 1."),
            (self.warmup_epochs is not None and self.epochs is None, "warmup_epochs needs epochs."),
            (not 0 <= self.ema <= 1 or not 0 <= self.final_ema <= 1, "ema lies between 0 and 1."),
            (not 0 <= self.stain_jitter <= 0.2, "stain_jitter lies between 0 and 0.2."),
            (self.seed < 0, "seed must not be negative."),
        ]  # fmt: skip


def parse_overrides(pairs: Iterable[str]) -> dict[str, str]:
    """Read options given as `key=value`, for `RunConfig.with_overrides`.

    Raises:
        ConfigError: One has no equals sign.
    """
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair}: write it as key=value.")
        values[name.strip()] = value
    return values


def _from_text(text: str) -> Any:
    """Read a value as TOML would; what is no TOML value is a plain word."""
    if text.strip().lower() in ("none", ""):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


OPTIONAL = ("clip_norm", "max_minutes", "epochs", "warmup_epochs")


def _fit(name: str, value: Any, default: Any) -> Any:
    """Bring a plain value to the kind of the option's default, or say why it cannot be."""
    if value is None and name in OPTIONAL:
        return None
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        if len(value) == len(default) and all(_is_number(part) for part in value):
            return tuple(float(part) for part in value)
    elif isinstance(default, str | bool):
        if type(value) is type(default):
            return value
    elif isinstance(default, int):
        if _is_number(value) and float(value).is_integer():
            return int(value)
    elif _is_number(value):
        return float(value)
    raise ConfigError(f"{name} = {value!r} does not fit; the default is {default!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


PRESETS: dict[str, RunConfig] = {
    "demo": RunConfig(pooling="centre"),
    "tiny": RunConfig(pooling="centre", steps=20_000),
    "small": RunConfig(pooling="centre", dim=384, heads=6, predictor_dim=192, predictor_depth=6,
                       predictor_heads=6, batch_size=256, steps=40_000, lr=5e-4, start_lr=1e-4),
    "reference": RunConfig(mpp=0.25, image_px=224, patch_px=14, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
                           dim=1280, depth=32, heads=16, predictor_dim=384, predictor_depth=12, predictor_heads=16,
                           target_passes="separate", mask_rule="published", min_context=10, stain_jitter=0.0,
                           dihedral=False, crop_scale=(0.3, 1.0), batch_size=2048, epochs=300, warmup_epochs=40,
                           lr=1e-3, start_lr=2e-4, final_lr=1e-6, weight_decay=0.04, final_weight_decay=0.4,
                           betas=(0.9, 0.999), ema=0.996, final_ema=1.0, clip_norm=None, sharding="fsdp"),
}  # fmt: skip
"""Named starting points: "demo" (about a minute on two CPU cores), "tiny" and "small" (a GPU), and
"reference": the published recipe with the published size, ViT-H/14 (16 large GPUs; other sizes by options)."""
