"""Pretraining: tiles in, checkpoints out. Read `pretrain` from top to bottom.

Every step's tiles, masks and schedules are pure functions of (seed, step), so a resumed run needs
only weights and moments, and on a CPU equals the unbroken run bit for bit.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.files import write_json
from jepa import monitor
from jepa.checkpoint import (
    load_checkpoint,
    newest_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from jepa.config import RunConfig
from jepa.data import TilePack, TileStream, open_pack
from jepa.encoder import embed_batch, load_encoder
from jepa.errors import CheckpointError, DivergedError
from jepa.masking import MaskConfig, mask_generator, sample_masks
from jepa.model import IJepa
from jepa.schedules import ema_momentum, learning_rate, weight_decay

_LOOK_BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a run stands."""

    step: int
    steps: int
    loss: float
    images_per_second: float
    rankme: float | None
    """Of the last look at the hold-out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """How a run ended."""

    run: str
    checkpoint: Path
    fingerprint: str
    """Of the encoder in the checkpoint."""
    steps: int
    images_per_second: float
    loss: float
    rankme: float | None
    stopped: str
    """"finished", "time" (the run's own limit) or "interrupted"."""


def pretrain(
    config: RunConfig,
    pack_folder: Path,
    run_folder: Path,
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Train I-JEPA on a tile pack.

    Args:
        config: Everything that decides the result.
        pack_folder: From `datasets.manifest`.
        run_folder: Gets `config.json`, `metrics.jsonl` and `checkpoints/`.
        resume: Go on from the newest whole checkpoint of the folder.
        on_progress: Called after every step.
        should_stop: Asked after every step; True saves and ends the run.

    Raises:
        DataError: The pack does not fit the run.
        CheckpointError: `resume` without a whole checkpoint, or one of other tiles.
        DivergedError: The loss is not finite; the weights were not touched by that step.
    """
    pack = open_pack(pack_folder, config)
    run = _Run(config, pack, run_folder)
    if resume:
        run.restore()
    write_json(run_folder / "config.json", config.to_dict())
    started, first, stopped = time.monotonic(), run.step, "finished"
    while run.step < config.steps:
        run.train_step()
        speed = (run.step - first) * config.batch_size / (time.monotonic() - started)
        if run.step % config.monitor_every == 0 or run.step == config.steps:
            run.look()
        run.log(speed)
        on_progress(run.progress(speed))
        if should_stop():
            stopped = "interrupted"
        elif config.max_minutes and time.monotonic() - started > 60 * config.max_minutes:
            stopped = "time"
        if stopped != "finished":
            break
        if run.step % config.checkpoint_every == 0 and run.step < config.steps:
            run.save()
    if run.health is None:
        run.look()
    speed = (run.step - first) * config.batch_size / max(1e-9, time.monotonic() - started)
    return run.result(stopped, speed)


class _Run:
    """The state of a run between two steps."""

    def __init__(self, config: RunConfig, pack: TilePack, folder: Path) -> None:
        self.config, self.folder, self.step = config, folder, 0
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._pack_hash = pack.hash
        self._stream = TileStream(pack, config)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.model = IJepa(config).to(self.device)
        self._names: dict[Tensor, str] = {p: n for n, p in self.model.named_parameters() if p.requires_grad}
        self._optimiser = self._make_optimiser()
        self._mask_config = MaskConfig(
            num_targets=config.num_targets, target_scale=config.target_scale,
            target_aspect=config.target_aspect, context_scale=config.context_scale,
            min_context=config.min_context,
        )  # fmt: skip
        self.loss = math.nan
        self.health: monitor.Health | None = None
        self._best_rank = 0.0
        self._events: dict[str, Any] = {}

    def _make_optimiser(self) -> torch.optim.AdamW:
        # Weight decay on everything with more than one dimension, the mask token included.
        matrices = [p for p in self._names if p.ndim > 1]
        vectors = [p for p in self._names if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, betas=self.config.betas, fused=self.device.type == "cuda")

    def train_step(self) -> None:
        """Set the rates, predict, go back, update the weights, move the target encoder."""
        config, step = self.config, self.step
        self._set_rates()
        masks = sample_masks(config.grid, self._mask_config, config.batch_size, mask_generator(config.seed, step, 0))
        pictures = self._stream.batch(step).to(self.device, non_blocking=True)
        context, targets = (self._indices(part) for part in (masks.context, masks.targets))
        with self._autocast():
            loss = self.model.loss(pictures, context, targets)
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.loss = loss.item()
        limit = config.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(list(self._names), limit)
        if not (math.isfinite(self.loss) and math.isfinite(float(norm))):
            tiles = self._stream.indices(step)[:8].tolist()
            raise DivergedError(
                f"step {step + 1}: loss {self.loss}, gradient {float(norm)} (tiles {tiles}, ...). "
                "The weights before it are kept; lower lr and resume.", step=step,
            )  # fmt: skip
        self._optimiser.step()
        momentum = ema_momentum(step, steps=config.steps, first=config.ema, last=config.final_ema)
        self.model.update_target(momentum)
        self.step += 1

    def _set_rates(self) -> None:
        config = self.config
        rate = learning_rate(
            self.step, steps=config.steps, warmup_steps=round(config.warmup * config.steps),
            start=config.start_lr, peak=config.lr, final=config.final_lr,
        )  # fmt: skip
        matrices, vectors = self._optimiser.param_groups
        matrices["lr"] = vectors["lr"] = rate
        matrices["weight_decay"] = weight_decay(
            self.step, steps=config.steps, first=config.weight_decay, last=config.final_weight_decay
        )

    def _indices(self, array: Any) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return contextlib.nullcontext()

    @torch.no_grad()
    def look(self) -> None:
        """Measure the target encoder on the hold-out."""
        pictures = self._stream.holdout_batch()
        if len(pictures) < 2:
            return
        parts = [
            embed_batch(self.model.target_encoder, part.to(self.device), self.config)
            for part in torch.split(pictures, _LOOK_BATCH)
        ]
        self.health = monitor.look(torch.cat(parts).float().cpu())
        self._best_rank = max(self._best_rank, self.health.rankme)
        past_warmup = self.step > self.config.warmup * self.config.steps
        sentence = monitor.warning(self.health, self._best_rank, past_warmup=past_warmup)
        self._events = asdict(self.health) | ({"warning": sentence} if sentence else {})

    def log(self, speed: float) -> None:
        """Append one line to `metrics.jsonl`."""
        row = {
            "step": self.step,
            "loss": self.loss,
            "images_per_second": round(speed, 2),
            **self._events,
        }
        self._events = {}
        with (self.folder / "metrics.jsonl").open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    def progress(self, speed: float) -> Progress:
        return Progress(
            step=self.step, steps=self.config.steps, loss=self.loss, images_per_second=speed,
            rankme=self.health.rankme if self.health else None,
        )  # fmt: skip

    def save(self) -> Path:
        return save_checkpoint(
            self.folder / "checkpoints", step=self.step, config=self.config,
            model=dict(self.model.state_dict()),
            optimiser=optimiser_tensors(self._optimiser, self._names), pack_hash=self._pack_hash,
        )  # fmt: skip

    def restore(self) -> None:
        """Take weights, moments and the step from the newest whole checkpoint."""
        newest = newest_checkpoint(self.folder / "checkpoints")
        if newest is None:
            raise CheckpointError(f"{self.folder.name}: no whole checkpoint to resume from.")
        checkpoint = load_checkpoint(newest)
        if checkpoint.pack_hash != self._pack_hash:
            raise CheckpointError(
                f"{self.folder.name}: its tiles were others than the catalogue's now. Start a new run."
            )
        self.model.load_state_dict(checkpoint.model, strict=True)
        restore_optimiser(self._optimiser, self._names, checkpoint.optimiser)
        self.step = checkpoint.step

    def result(self, stopped: str, speed: float) -> RunResult:
        checkpoint = self.save()
        return RunResult(
            run=self.folder.name, checkpoint=checkpoint,
            fingerprint=load_encoder(checkpoint).fingerprint, steps=self.step,
            images_per_second=round(speed, 2), loss=self.loss,
            rankme=self.health.rankme if self.health else None, stopped=stopped,
        )  # fmt: skip
