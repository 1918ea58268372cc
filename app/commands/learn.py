"""`pretrain` and `embed`: tiles to an encoder, cells to vectors."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from app.commands.output import ProgressBar, emit, home_option, json_option, verb
from app.encoders import open_encoder
from app.services import Services
from app.training import embed_all, latest_run, new_run_folder, preset_for_machine, tiles_for
from jepa.config import RunConfig
from jepa.errors import ConfigError
from jepa.train import Progress
from jepa.train import pretrain as run_pretraining


@contextmanager
def _stop_on_interrupt() -> Iterator[list[bool]]:
    """Turn the first Ctrl-C into a wish to stop; the second one interrupts."""
    stop = [False]

    def wish(_number: int, _frame: object) -> None:
        if stop[0]:
            raise KeyboardInterrupt
        stop[0] = True
        click.echo("\nStopping after this step; the checkpoint is being saved.", err=True)

    before = signal.signal(signal.SIGINT, wish)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _overrides(pairs: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair}: write it as key=value.")
        values[name.strip()] = value
    return values


@click.command()
@click.argument("run_file", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--steps", type=click.IntRange(min=1), help="How many optimiser steps.")
@click.option("--resume", is_flag=True, help="Go on with the newest run of this workspace.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Replace one option of the run.")
@home_option
@json_option
@verb
def pretrain(run_file: Path | None, steps: int | None, resume: bool, pairs: tuple[str, ...],
             home: Path, as_json: bool) -> None:  # fmt: skip
    """Train I-JEPA on the catalogue's tiles. Ctrl-C saves; --resume goes on."""
    services = Services.open(home)
    if resume:
        run_folder, config = latest_run(services)
    else:
        run_folder = new_run_folder(services)
        config = RunConfig.from_toml(run_file) if run_file else preset_for_machine()
    overrides = _overrides(pairs) | ({"steps": str(steps)} if steps else {})
    config = config.with_overrides(overrides)
    bar = ProgressBar("tiles", "slide")
    pack = tiles_for(services, config, bar)
    bar.close()
    bar = ProgressBar("pretrain", "step")

    def show(progress: Progress) -> None:
        bar.note(_progress_note(progress))
        bar(progress.step, progress.steps)

    with _stop_on_interrupt() as stop:
        result = run_pretraining(config, pack, run_folder, resume=resume, on_progress=show, should_stop=lambda: stop[0])
    bar.close()
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
    help="A checkpoint folder, or default: the newest run of this workspace.",
)
@click.option("--batch-size", type=click.IntRange(1, 4096), default=64)
@home_option
@json_option
@verb
def embed(name: str, batch_size: int, home: Path, as_json: bool) -> None:
    """Compute a vector for every cell that lacks one. Interrupt and rerun without harm."""
    services = Services.open(home)
    encoder = open_encoder(services, name)
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
        [f"{cells} cells, {encoder.dim} numbers each, encoder {encoder.fingerprint}, {seconds} s"],
    )
