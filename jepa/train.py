"""Pretraining: tiles in, checkpoints out. Read `pretrain` from top to bottom.

Every step's tiles, masks and schedules are pure functions of (seed, step), so a resumed run needs
only weights and moments, and on a CPU equals the unbroken run bit for bit. Several processes draw
the same numbers and each takes its rows, so that their number does not change the result.

    torchrun --nproc-per-node=4 -m jepa.train [RUN.toml] --pack FOLDER --out FOLDER [--resume]
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from jepa.backbones import with_sizes_of_backbone
from jepa.checkpoint import load_weights
from jepa.config import PRESETS, RunConfig, parse_overrides
from jepa.data import open_pack
from jepa.distributed import open_world
from jepa.errors import JepaError
from jepa.interrupt import Wish, stop_on_signal
from jepa.run import Progress, Run, RunResult
from jepa.step import Tensors
from jepa.watch import TileLabels


def pretrain(
    config: RunConfig,
    pack_folder: Path,
    run_folder: Path,
    *,
    resume: bool = False,
    start_from: Tensors | None = None,
    labels: TileLabels | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Train I-JEPA, or what `objective` names, on a tile pack; under `torchrun` together with the other processes.

    Args:
        config: Everything that decides the result.
        pack_folder: From `datasets.manifest`.
        run_folder: Gets `config.json`, `metrics.jsonl`, `tensorboard/`, `tokens/` and `checkpoints/`.
        resume: Go on from the newest whole checkpoint of the folder.
        start_from: Weights of all three networks for a new run, from `checkpoint.load_weights`.
        labels: Labelled tiles for the watch; training never sees them.
        on_progress: Called after every step.
        should_stop: Asked after every step; True saves and ends the run.

    Raises:
        ConfigError: The processes do not fit together or to the batch.
        DataError: The pack does not fit the run.
        CheckpointError: `resume` without a whole checkpoint, or one of other tiles; or the last
            state could not be saved.
        DivergedError: The loss is not finite; the weights before that step are saved.
    """
    with open_world() as world, contextlib.ExitStack() as at_the_end:
        config = with_sizes_of_backbone(config)
        pack = open_pack(pack_folder, config)
        run = Run(config, pack, run_folder, world, resume=resume, start_from=start_from, labels=labels)
        at_the_end.callback(run.close)
        started, first, stopped = time.monotonic(), run.step, "finished"
        while run.step < run.config.steps and stopped == "finished":
            run.train_step()
            seconds = time.monotonic() - started
            run.speed = (run.step - first) * config.batch_size / seconds
            if run.step in (1, run.config.steps) or run.step % config.monitor_every == 0:
                run.look()
            if run.is_time_to_ask():
                run.answer()
                is_late = config.max_minutes is not None and seconds > 60 * config.max_minutes
                stopped = run.agree("interrupted" if should_stop() else "time" if is_late else stopped)
            on_progress(run.progress())
            if run.step % config.checkpoint_every == 0 and run.step < run.config.steps and stopped == "finished":
                run.save()
        return run.result(stopped)


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m jepa.train`: one process of a run; the first prints the result as JSON.

    Returns:
        0 when the run ended as asked, 1 after a sentence on stderr.
    """
    parser = argparse.ArgumentParser(prog="python -m jepa.train", description="I-JEPA on a tile pack.")
    parser.add_argument("run_file", nargs="?", type=Path, metavar="RUN.toml", help="options; default: the preset tiny")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the tile pack")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--init", type=Path, help="weights to start from: a checkpoint folder or a published file")
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace one option")
    options = parser.parse_args(arguments)
    try:
        with open_world() as world, stop_on_signal() as wish:
            result = _run_as_asked(options, wish)
            if world.is_first:
                sys.stdout.write(json.dumps(asdict(result), default=str) + "\n")
    except (JepaError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run_as_asked(options: argparse.Namespace, wish: Wish) -> RunResult:
    base = PRESETS["tiny"] if options.run_file is None else RunConfig.from_toml(options.run_file)
    overrides = parse_overrides(options.set)
    if options.resume:
        base = RunConfig.from_dict(json.loads((options.out / "config.json").read_text()))
    start_from, config = None, base.with_overrides(overrides)
    if options.init:
        start_from, config = load_weights(options.init, config, overrides)
    return pretrain(config, options.pack, options.out, resume=options.resume, start_from=start_from, should_stop=wish)


if __name__ == "__main__":
    sys.exit(main())
