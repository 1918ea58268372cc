"""Each small-data option by itself: what the frozen encoder is worth to a probe, after equally many pictures.

    python -m tests.benchmarks.ablation --train HOME --test HOME [--test HOME] --out ROWS.jsonl

Trains on the tiles of one workspace and probes on the labelled cells of others, split by slide. A row
is written after each run and a run that has its row is not trained again, so that the benchmark can be
interrupted. Loss decides nothing here. Reported are means over draws with their 95 % interval.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from app.evaluation import encoder_features, load_pool, score_shots
from app.services import Services
from app.training import tiles_for
from jepa.checkpoint import load_weights
from jepa.config import PRESETS, RunConfig, parse_overrides
from jepa.encoder import FrozenEncoder, load_encoder, random_encoder
from jepa.train import pretrain

START = "no training"
OPTIONS: dict[str, dict[str, object]] = {
    START: {},
    "I-JEPA alone": {},
    "no turned views": {"dihedral": False},
    "no stain jitter": {"stain_jitter": 0.0},
    "stain jitter .15": {"stain_jitter": 0.15},
    "scale jitter .1": {"scale_jitter": 0.1},
    "foreground tiles": {"foreground_tiles": 1.0},
    "foreground targets": {"foreground_targets": 0.3},
    "variance, covariance": {"variance": 0.1, "covariance": 0.004},
    "SIGReg": {"sigreg": 0.05},
    "two-view agreement": {"invariance": 0.1},
    "two-view agreement, strong": {"invariance": 1.0},
    "strong agreement, SIGReg": {"invariance": 1.0, "sigreg": 0.05},
    "strong agreement, variance, covariance": {"invariance": 1.0, "variance": 0.1, "covariance": 0.004},
    "pixels (MAE)": {"objective": "mae"},
    "two views alone (VICReg)": {"objective": "vicreg"},
    "two views alone (DINO)": {"objective": "dino"},
}
"""Changes to the preset, one at a time but for two pairs; the last three are other methods on the same encoder."""


def train(name: str, config: RunConfig, home: Path, folder: Path, init: Path | None) -> FrozenEncoder:
    """Return the frozen encoder of one option."""
    if name == START:
        return load_encoder(init) if init else random_encoder(config, seed=config.seed)
    start_from = None
    if init:
        start_from, config = load_weights(init, config)
    services = Services.open(home)
    pack = tiles_for(services, config, lambda done, total: None)
    services.database.close()

    def show(progress: object) -> None:
        sys.stderr.write(f"\r{name}: {progress}"[:150])

    return load_encoder(pretrain(config, pack, folder, start_from=start_from, on_progress=show).checkpoint)


def score(encoder: FrozenEncoder, home: Path, seeds: int) -> list[dict[str, object]]:
    """Return the low-shot scores of an encoder on the labelled cells of a workspace."""
    services = Services.open(home)
    pool = load_pool(services)
    features = encoder_features(services, pool, encoder, lambda done, total: None)
    rows = score_shots(pool, home.name, features, shots=(5, 10, 20), seeds=seeds)
    services.database.close()
    return [
        {"cells": home.name, "shots": row.shots, "mean": row.balanced_accuracy, "low": row.low, "high": row.high}
        for row in rows
    ]


def main() -> None:
    """Write one JSON line for each option."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, metavar="HOME", help="workspace whose tiles are learnt")
    parser.add_argument("--test", type=Path, action="append", required=True, metavar="HOME")
    parser.add_argument("--out", type=Path, required=True, metavar="ROWS.jsonl")
    parser.add_argument("--init", type=Path, metavar="PATH", help="weights that all start from, else fresh ones")
    parser.add_argument("--pictures", type=int, default=20_000, help="pictures that each run sees")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="tiny")
    parser.add_argument("--only", action="append", choices=tuple(OPTIONS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all of them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = [json.loads(line)["option"] for line in options.out.read_text().splitlines()] if options.out.exists() else []
    plain = dataclasses.replace(PRESETS[options.preset], invariance=0.0, stain_jitter=0.05)
    base = plain.with_overrides(parse_overrides(options.set))
    for name in options.only or OPTIONS:
        if name in done:
            continue
        config = dataclasses.replace(base, **OPTIONS[name])
        # A method with two views of a tile gets half as many tiles, so that all see equally many pictures.
        steps = max(1, options.pictures // (config.batch_size * config.views))
        config = dataclasses.replace(config, steps=steps, monitor_every=steps, checkpoint_every=steps)
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            encoder = train(name, config, options.train, Path(folder), options.init)
            spent = round(time.process_time() - started)
        scores = [row for home in options.test for row in score(encoder, home, options.seeds)]
        line = {"option": name, "pictures": 0 if name == START else options.pictures, "cpu_s": spent}
        with options.out.open("a") as rows:
            rows.write(json.dumps(line | {"scores": scores}) + "\n")


if __name__ == "__main__":
    main()
