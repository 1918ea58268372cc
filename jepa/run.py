"""A pretraining run between two steps: what it has learnt, what it has written. `train` drives it.

Nothing waits for the device in every step: numbers stay there until `answer` fetches them.
"""

import logging
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.files import write_json
from jepa.checkpoint import Checkpoint, load_checkpoint, newest_checkpoint, save_checkpoint, set_aside
from jepa.config import RunConfig
from jepa.data import Ahead, TilePack, TileStream
from jepa.distributed import World, gathered
from jepa.encoder import load_encoder
from jepa.errors import CheckpointError, DivergedError
from jepa.events import EventFiles
from jepa.masking import mask_generator
from jepa.monitor import Health
from jepa.objectives import draw_masks_for
from jepa.runlog import METRICS_FILE, PICTURE_FOLDER, RunLog, read_metrics
from jepa.step import Learner, Outcome, Tensors, seed_model
from jepa.views import Views
from jepa.watch import TileLabels, Watch

LOG = logging.getLogger(__name__)
_STEPS_BETWEEN_ANSWERS = {"cpu": 1, "cuda": 20}
"""How often the host waits for the device's numbers; every wait leaves a GPU idle."""
_PREPARED = {"cpu": 0, "cuda": 3}
"""Batches made ahead."""


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


class Run:
    """The state of a run between two steps.

    Args:
        config: Everything that decides the result.
        pack: The tiles.
        folder: Gets the run's files.
        world: This process among those that train together.
        resume: Go on from the newest whole checkpoint.
        start_from: Weights for a new run.
        labels: Labelled tiles for the watch.
    """

    def __init__(
        self, config: RunConfig, pack: TilePack, folder: Path, world: World, *, resume: bool,
        start_from: Tensors | None, labels: TileLabels | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.world = folder, world
        self._pack_hash = pack.hash
        self._stream = TileStream(pack, config)
        self.config = config = config.for_tiles(self._stream.num_tiles)
        self._rows = world.rows(config.batch_size)
        self._learner = self._make_learner(self._newest() if resume else None, start_from)
        self._saved_step = self.step if resume else -1
        self._log = RunLog(folder / METRICS_FILE, first_step=self.step) if world.is_first else None
        self._event_files = EventFiles(folder, first_step=self.step) if world.is_first else None
        pictures = folder / PICTURE_FOLDER if world.is_first else None
        self._watch = Watch(config, self._stream, labels, pictures, read_metrics(folder) if resume else [])
        if world.is_first:
            set_aside(folder / "checkpoints", after_step=self.step)
            write_json(folder / "config.json", config.to_dict())
        self._batches = Ahead(self._make_batch, _PREPARED[world.device.type])
        self._outcomes: list[Outcome] = []
        self.loss: float = self._log.last.get("loss", math.nan) if self._log else math.nan
        self.speed = 0.0
        self._events: dict[str, Any] = {}

    @property
    def step(self) -> int:
        """Steps done."""
        return self._learner.step

    def _newest(self) -> Checkpoint:
        newest = newest_checkpoint(self.folder / "checkpoints") if self.world.is_first else None
        newest = self.world.share(newest)
        if newest is None:
            raise CheckpointError(f"{self.folder.name}: no whole checkpoint to resume from.")
        checkpoint = load_checkpoint(newest)
        if checkpoint.pack_hash != self._pack_hash:
            raise CheckpointError(
                f"{self.folder.name}: its tiles were others than the catalogue's now. Start a new run."
            )
        return checkpoint

    def _make_learner(self, checkpoint: Checkpoint | None, start_from: Tensors | None) -> Learner:
        if checkpoint is None:
            return Learner(self.config, self.world, seed_model(self.config, start_from))
        model = seed_model(self.config, checkpoint.model)
        return Learner(self.config, self.world, model, step=checkpoint.step, moments=checkpoint.optimiser)

    def _make_batch(self, step: int) -> tuple[Views, Tensor, Tensor]:
        """Return this process's pictures, contexts and targets of a step."""
        config = self.config
        views = self._stream.views(step, self._rows)
        first = partial(views.first_pictures, config)
        masks = draw_masks_for(config, first, step, mask_generator(config.seed, step), self._rows)
        context, targets = torch.from_numpy(masks.context), torch.from_numpy(masks.targets)
        if self.world.device.type == "cuda":
            return views.pinned(), context.pin_memory(), targets.pin_memory()
        return views, context, targets

    def train_step(self) -> None:
        """Fetch the step's batch and learn from it."""
        views, context, targets = self._batches.take(self.step)
        device = self.world.device
        pictures = views.finish(self.config, device)
        indices = (part.to(device, non_blocking=True) for part in (context, targets))
        self._outcomes.append(self._learner.train_step(pictures, *indices))

    def is_time_to_ask(self) -> bool:
        """Whether to wait for the device: rarely on a GPU, and before anything is saved or ends."""
        often = _STEPS_BETWEEN_ANSWERS[self.world.device.type]
        marks = (often, self.config.monitor_every, self.config.checkpoint_every)
        return self.step in (1, self.config.steps) or any(self.step % mark == 0 for mark in marks)

    def answer(self) -> None:
        """Fetch the numbers of the steps since the last time and write them down.

        Raises:
            DivergedError: One of them was not finite.
        """
        failed = self._learner.failed_step()
        if failed is not None:
            self._give_up(failed)
        numbers = torch.stack([torch.stack([o.loss, o.gradient_norm]) for o in self._outcomes]).tolist()
        first = self.step - len(numbers) + 1
        self._outcomes.clear()
        for step, (loss, norm) in enumerate(numbers, start=first):
            self._write({"step": step, "loss": loss, "gradient_norm": norm, "images_per_second": round(self.speed, 2)},
                        is_last=step == self.step)  # fmt: skip
        self.loss = numbers[-1][0]
        if self._log:
            self._log.flush()

    def _write(self, row: dict[str, Any], *, is_last: bool) -> None:
        if self._log is None:
            return
        row = row | self._events if is_last else row
        self._log.add(row)
        if self._event_files:
            self._event_files.add(row)
        if is_last:
            self._events = {}

    def _give_up(self, failed: int) -> None:
        tiles = tuple(self._stream.indices(failed).tolist())
        done = failed - (self.step - len(self._outcomes))
        loss, norm = (float(value) for value in (self._outcomes[done].loss, self._outcomes[done].gradient_norm))
        self._learner.step = failed
        LOG.warning("step %d: loss %s, gradient %s, tiles %s", failed + 1, loss, norm, list(tiles))
        kept = "are saved" if self.save() else "could not be saved (disk)"
        raise DivergedError(
            f"step {failed + 1}: loss {loss}, gradient {norm} (tiles {list(tiles[:8])}, ...). "
            f"The weights before it {kept}; lower lr and resume.", step=failed, tiles=tiles,
        )  # fmt: skip

    def agree(self, stopped: str) -> str:
        """Return why all processes stop together, or "finished" while none wants to."""
        for reason in ("interrupted", "time"):
            if self.world.any(stopped == reason):
                return reason
        return "finished"

    @property
    def health(self) -> Health | None:
        """The newest look at the target encoder."""
        return self._watch.health

    def look(self) -> None:
        """Measure the target encoder; the newest step's line of the log carries it. All processes must."""
        model = self._learner.model
        with gathered(model):
            self._events = self._watch.look(model, self.step)

    def close(self) -> None:
        """End the threads and close the files."""
        self._batches.close()
        if self._event_files:
            self._event_files.close()

    def progress(self) -> Progress:
        """Return where the run stands; the loss is the newest known."""
        return Progress(
            step=self.step, steps=self.config.steps, loss=self.loss, images_per_second=self.speed,
            rankme=self.health.rankme if self.health else None,
        )  # fmt: skip

    def save(self) -> bool:
        """Save the state; return False, after a warning, when the disk does not take it."""
        if self._saved_step == self.step:
            return True
        model, optimiser = self._learner.state()
        is_saved = True
        if self.world.is_first:
            try:
                if self._log:
                    self._log.flush(is_durable=True)
                save_checkpoint(
                    self.folder / "checkpoints", step=self.step, config=self.config, model=model,
                    optimiser=optimiser, pack_hash=self._pack_hash,
                )  # fmt: skip
            except OSError as error:
                is_saved = False
                LOG.warning("step %d: the checkpoint cannot be saved (%s). Earlier ones are whole, the run goes on; "
                            "make room on the disk.", self.step, error.strerror)  # fmt: skip
        is_saved = self.world.share(is_saved)
        if is_saved:
            self._saved_step = self.step
        return is_saved

    def result(self, stopped: str) -> RunResult:
        """Save the last state and return how the run ended.

        Raises:
            CheckpointError: The disk is full.
        """
        if not self.save():
            raise CheckpointError(
                f"{self.folder.name}: the state after step {self.step} could not be saved, the disk is full. "
                "Earlier checkpoints are whole: make room, then resume."
            )
        checkpoint = self.folder / "checkpoints" / f"step-{self.step:07d}"
        fingerprint = load_encoder(checkpoint).fingerprint if self.world.is_first else ""
        return RunResult(
            run=self.folder.name, checkpoint=checkpoint,
            fingerprint=self.world.share(fingerprint), steps=self.step,
            images_per_second=round(self.speed, 2), loss=self.loss,
            rankme=self.health.rankme if self.health else None, stopped=stopped,
        )  # fmt: skip
