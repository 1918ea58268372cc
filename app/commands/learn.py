"""`pretrain` and `embed`: tiles to an encoder, cells to vectors."""

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from app.commands.long import as_job, long_verb
from app.commands.output import ProgressBar, emit, home_option, json_option, verb
from app.encoders import named_weights, open_encoder
from app.services import Services
from app.training import embed_all, labels_for, latest_run, new_run_folder, preset_for_machine, tiles_for
from datasets.told import told
from jepa.checkpoint import load_weights
from jepa.config import PRESETS, RunConfig, parse_overrides
from jepa.distributed import open_world
from jepa.interrupt import stop_on_signal
from jepa.run import Progress, RunResult
from jepa.train import pretrain as run_pretraining
from jepa.watch import TileLabels


@click.command()
@click.argument("run_file", required=False, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--preset", type=click.Choice(tuple(PRESETS)), help="Instead of RUN.toml [default: small on a GPU, else demo]."
)
@click.option("--steps", type=click.IntRange(min=1), help="How many optimiser steps.")
@click.option("--resume", is_flag=True, help="Go on with the newest run of this workspace.")
@click.option(
    "--init",
    metavar="PATH",
    callback=lambda context, option, value: value and named_weights(value),
    help="Start from these weights: shipped, a checkpoint folder, a published .pth, a .safetensors or .pth of timm.",
)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Replace one option of the run.")
@home_option
@json_option
@verb
def pretrain(run_file: Path | None, preset: str | None, steps: int | None, resume: bool, init: Path | None,
             pairs: tuple[str, ...], home: Path, as_json: bool) -> None:  # fmt: skip
    """Train I-JEPA on the catalogue's tiles. Ctrl-C saves; --resume goes on. Also under torchrun."""
    if resume and (init or run_file or preset):
        raise click.UsageError(
            "--resume goes on with the run's own weights and options; leave --init, --preset and RUN.toml out."
        )
    if run_file and preset:
        raise click.UsageError("RUN.toml names its preset itself; leave --preset out.")
    start = PRESETS[preset] if preset else None
    overrides = parse_overrides(pairs) | ({"steps": str(steps)} if steps else {})
    with open_world() as world, as_job(home, "pretrain") if world.is_first else nullcontext() as job:
        # The first process prepares; the others get its tiles and its folder.
        prepared = world.share_from_first(lambda: _prepare(home, run_file, start, overrides, init, resume=resume))
        bar = ProgressBar("pretrain", "step", is_shown=world.is_first)

        def show(progress: Progress) -> None:
            bar.note(_progress_note(progress))
            bar(progress.step, progress.steps)

        if job is not None:
            job.fact("run", prepared.run_folder.name)
        start_from = load_weights(init, prepared.config, overrides)[0] if init else None
        with stop_on_signal() as wish:
            result = run_pretraining(
                prepared.config, prepared.pack, prepared.run_folder, resume=resume, start_from=start_from,
                labels=prepared.labels, on_progress=show, should_stop=wish,
            )  # fmt: skip
        bar.close()
        if job is not None:
            job.is_stopped = result.stopped == "interrupted"
            _report(result, as_json)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    config: RunConfig
    pack: Path
    run_folder: Path
    labels: TileLabels | None


def _prepare(
    home: Path,
    run_file: Path | None,
    start: RunConfig | None,
    overrides: dict[str, str],
    init: Path | None,
    *,
    resume: bool,
) -> _Prepared:
    services = Services.open(home)
    if resume:
        run_folder, config = latest_run(services)
    else:
        run_folder = new_run_folder(services)
        config = RunConfig.from_toml(run_file) if run_file else start or preset_for_machine()
    config = config.with_overrides(overrides)
    if init:
        _, config = load_weights(init, config, overrides)
    bar = ProgressBar("tiles", "slide")
    pack = tiles_for(services, config, bar)
    bar.close()
    labels = labels_for(services, pack)
    services.database.close()
    return _Prepared(config=config, pack=pack, run_folder=run_folder, labels=labels)


def _report(result: RunResult, as_json: bool) -> None:
    values = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(result).items()}
    rank = "-" if result.rankme is None else f"{result.rankme:.1f}"
    emit(as_json, values, [
        f"{result.steps} steps, {result.images_per_second:.1f} images/s, loss {result.loss:.4f}, "
        f"effective rank {rank} ({result.stopped})",
        f"encoder {result.fingerprint} in {result.checkpoint}",
    ])  # fmt: skip


def _progress_note(progress: Progress) -> str:
    rank = "" if progress.rankme is None else f", rank {progress.rankme:.1f}"
    return f"loss {progress.loss:.4f}, {progress.images_per_second:.0f} images/s{rank}"


@click.command()
@click.option(
    "--encoder",
    "name",
    default="default",
    metavar="NAME",
    help="default: the newest run of this workspace, before the first one shipped; handcrafted; a checkpoint folder, a "
    "published .pth, an exported .safetensors; timm:NAME with its weights in the folder weights; several joined by +.",
)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Replace an option of the encoder (mpp, ...).")
@click.option("--batch-size", type=click.IntRange(1, 4096), default=64, help="Cells at once.")
@home_option
@json_option
@long_verb("embed", is_alone=True)
def embed(name: str, pairs: tuple[str, ...], batch_size: int, home: Path, as_json: bool) -> None:
    """Compute a vector for every cell that lacks one. Interrupt and rerun without harm."""
    services = Services.open_existing(home)
    encoder = open_encoder(services, name, parse_overrides(pairs))
    started = time.monotonic()
    bar = ProgressBar("embed", "cell")
    try:
        cells = embed_all(services, encoder, batch_size=batch_size, on_progress=bar)
    finally:
        bar.close()
    seconds = round(time.monotonic() - started, 2)
    result = {
        "cells": cells,
        "fingerprint": encoder.fingerprint,
        "dim": encoder.dim,
        "seconds": seconds,
    }
    emit(
        as_json,
        result,
        [
            told(
                "{cells} cells, {dim} numbers each, encoder {encoder}, {seconds} s",
                cells=cells,
                dim=encoder.dim,
                encoder=encoder.fingerprint,
                seconds=seconds,
            )
        ],
    )
