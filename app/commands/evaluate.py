"""`evaluate`: low-shot balanced accuracy beside the baselines that keep one honest."""

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from app import evaluation
from app.commands.output import ProgressBar, emit, home_option, json_option, table, verb
from app.encoders import open_encoder
from app.evaluation import Floats, Pool
from app.intake import adopt_label_set, take_in
from app.services import Services
from datasets.public import plan
from jepa.encoder import random_encoder


@click.command()
@click.option("--workspace", is_flag=True, help="Evaluate this study's cells that came with labels.")
@click.option(
    "--cells",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Evaluate class-named folders instead; nothing is kept.",
)
@click.option(
    "--encoders",
    default="default,random,size",
    metavar="A,B",
    help="default, random, size, or checkpoint folders.",
)
@click.option("--shots", default="1,5,10,20", metavar="N,M", help="Labels for each class.")
@click.option("--seeds", type=click.IntRange(1, 100), default=5, help="Draws for each number of labels.")
@home_option
@json_option
@verb
def evaluate(workspace: bool, folder: Path | None, encoders: str, shots: str, seeds: int,
             home: Path, as_json: bool) -> None:  # fmt: skip
    """Score frozen encoders by linear probes; train and test never share a slide."""
    if workspace == (folder is not None):
        raise click.UsageError("give either --workspace or --cells FOLDER.")
    try:
        counts = [int(text) for text in shots.split(",") if text]
    except ValueError as error:
        raise click.UsageError(f"--shots {shots}: write whole numbers with commas.") from error
    services = Services.open(home)
    names = [name for name in encoders.split(",") if name]
    with tempfile.TemporaryDirectory() as scratch:
        target = _temporary_study(Path(scratch), folder) if folder else services
        pool = evaluation.load_pool(target)
        features = {
            name: _features(services, target, pool, name) for name in names
            if not (name == "size" and not pool.sizes.any())
        }  # fmt: skip
        scores = evaluation.evaluate(target, pool, features, shots=counts, seeds=seeds)
        target.database.close()
    chance = evaluation.chance(pool)
    results = [asdict(score) for score in scores]
    baselines = {
        "chance": chance,
        "results": [r for r in results if r["encoder"] in ("random", "size")],
    }
    size = f"{len(pool.cell_ids)} cells, {len(set(pool.slides))} slides"
    lines = [f"{size}, {len(set(pool.truth))} classes; guessing gives {chance:.3f}. Balanced accuracy on other slides:"]
    rows = [(s.encoder, s.shots, s.balanced_accuracy, s.low, s.high) for s in scores]
    lines += table(("encoder", "labels per class", "balanced accuracy", "low", "high"), rows)
    emit(as_json, {"results": results, "baselines": baselines, "active": None}, lines)


def _temporary_study(scratch: Path, folder: Path) -> Services:
    services = Services.open(scratch)
    found = plan(folder, "cells")
    services, _ = adopt_label_set(services, found)
    bar = ProgressBar("read", "file")
    take_in(services, found, on_progress=bar)
    bar.close()
    return services


def _features(services: Services, target: Services, pool: Pool, name: str) -> Floats:
    if name == "size":
        return pool.sizes
    if name == "default" and target is services:
        return evaluation.store_features(services, pool)
    encoder = open_encoder(services, "default" if name == "random" else name)
    if name == "random":
        encoder = random_encoder(encoder.config, seed=0)
    bar = ProgressBar(f"embed ({name})", "cell")
    try:
        return evaluation.encoder_features(target, pool, encoder, bar)
    finally:
        bar.close()
