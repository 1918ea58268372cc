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
from jepa.plain_values import fitted, from_text

TARGET_PASSES = ("joint", "separate", "union")
MASK_RULES = ("own", "published")
PRECISIONS = ("auto", "fast", "float32", "bfloat16")
SHARDINGS = ("ddp", "fsdp")
POOLINGS = ("mean", "mean4", "centre")
OBJECTIVES = ("ijepa", "mae", "vicreg", "dino")
POSITIONS = ("keep", "sincos")
_WORDS = {
    "target_passes": TARGET_PASSES, "pooling": POOLINGS, "mask_rule": MASK_RULES, "precision": PRECISIONS,
    "sharding": SHARDINGS, "objective": OBJECTIVES, "positions": POSITIONS,
}  # fmt: skip


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

    backbone: str = "vit"
    """Encoder: "vit" (a plain one of the sizes below), "resnet50", or the name of a ViT in timm."""
    registers: int = 0
    """Tokens without a place that the encoder may use as scratch paper (of "vit")."""
    positions: str = "keep"
    """Where a run starts from weights: "keep" their positions, or swap them for "sincos". Fresh ones are "sincos"."""
    dim: int = 192
    """Width of the encoder; this, `depth`, `heads` and `patch_px` of a named backbone are its own."""
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
    """"joint": all target blocks in one pass; "separate": one each, as published (slower); "union": one pass that asks
    for a patch of several blocks once (fastest on a CPU; its lengths vary, which waits for a GPU and recompiles)."""

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

    scale_jitter: float = 0.0
    """Largest relative change of a crop's scale, at most 0.1: the size of nuclei is a criterion."""
    foreground_tiles: float = 0.0
    """0: tiles come alike; 1: in proportion to how much of them is stained; between: a mixture."""
    foreground_targets: float = 0.0
    """Least stained share of a target block, where the picture has such a place; 0 switches it off."""

    objective: str = "ijepa"
    """"ijepa"; for comparison "mae" (pixels), "vicreg" and "dino" (two views; "dino" needs `lightly`)."""
    variance: float = 0.0
    """Weight of the term that keeps every feature's spread up (C-JEPA); 0 switches it off."""
    covariance: float = 0.0
    """Weight of the term that keeps features uncorrelated (C-JEPA); 0 switches it off."""
    sigreg: float = 0.0
    """Weight of the term that keeps embeddings normally distributed (SIGReg; .02 to .1); 0: off."""
    invariance: float = 0.0
    """Weight of the agreement of two views of a tile (hybrid with VICReg); 0 switches it off."""

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
    """Of the networks' products: "float32", "bfloat16", "auto" (bfloat16 on a GPU, else float32), or "fast": bfloat16
    also on a CPU that multiplies it itself."""
    compile: bool = False
    """Compile the networks (torch.compile; needs a C++ compiler): minutes at the start, faster steps on a GPU."""
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

    @property
    def views(self) -> int:
        """Views of each tile that a step needs."""
        return 2 if self.invariance or self.objective in ("vicreg", "dino") else 1

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
        return cls(**{name: fitted(name, value, defaults[name]) for name, value in values.items()})

    def with_overrides(self, overrides: dict[str, str]) -> Self:
        """Return a copy with some options replaced, given as text: `{"steps": "200"}`.

        Raises:
            ConfigError: An option is unknown or the text does not fit it.
        """
        values = {name: from_text(text) for name, text in overrides.items()}
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
            (self.backbone == "vit" and self.patch_px > 0 and self.image_px % self.patch_px != 0,
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
            (not 0 <= self.scale_jitter <= 0.1, "scale_jitter lies between 0 and 0.1."),
            (max(self.foreground_tiles, self.foreground_targets) > 1, "Shares of foreground lie between 0 and 1."),
            (min(self.foreground_tiles, self.foreground_targets, self.variance, self.covariance, self.sigreg,
                 self.invariance, self.registers) < 0, "Weights, shares and registers must not be negative."),
            (self.objective != "ijepa" and self.invariance + self.variance + self.covariance + self.sigreg > 0,
             "variance, covariance, sigreg and invariance are terms of objective = ijepa."),
            (self.foreground_targets > 0 and (self.mask_rule, self.objective) != ("own", "ijepa"),
             "foreground_targets needs mask_rule = own and objective = ijepa."),
            (self.compile and (self.mask_rule == "published" or self.target_passes == "union"),
             "compile needs few lengths of masks: mask_rule = own, and target_passes = joint or separate."),
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


PRESETS: dict[str, RunConfig] = {
    "demo": RunConfig(pooling="centre", precision="fast", monitor_every=25, checkpoint_every=100),
    "tiny": RunConfig(pooling="centre", precision="fast", image_px=64, ema=0.99, invariance=1.0, stain_jitter=0.1,
                      steps=20_000),
    "small": RunConfig(pooling="centre", precision="fast", dim=384, heads=6, predictor_dim=192, predictor_depth=6,
                       predictor_heads=6, invariance=1.0, stain_jitter=0.1, batch_size=256, steps=40_000),
    "reference": RunConfig(mpp=0.25, image_px=224, patch_px=14, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
                           dim=1280, depth=32, heads=16, predictor_dim=384, predictor_depth=12, predictor_heads=16,
                           target_passes="separate", mask_rule="published", min_context=10, stain_jitter=0.0,
                           dihedral=False, crop_scale=(0.3, 1.0), batch_size=2048, epochs=300, warmup_epochs=40,
                           lr=1e-3, start_lr=2e-4, final_lr=1e-6, weight_decay=0.04, final_weight_decay=0.4,
                           betas=(0.9, 0.999), ema=0.996, final_ema=1.0, clip_norm=None, sharding="fsdp"),
}  # fmt: skip
"""Named starting points: "demo" (about a minute on two CPU cores), "tiny" (second stage of the shipped encoder,
docs/model_card.md) and "small" (a GPU), and
"reference": the published recipe with the published size, ViT-H/14 (16 large GPUs; other sizes by options)."""
