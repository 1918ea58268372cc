"""Objectives beside each other: time of a full step, and what the encoder is good for per picture seen.

    python -m tests.benchmarks.objectives                      time per step, drawn noise
    python -m tests.benchmarks.objectives --probe HOME         also trains on the tiles of a workspace with
                                                               labelled cells and probes by slide

Times are of one process and interleaved: every round times every objective once, so that a busy
machine slows all alike. Reported are medians, quartiles, and ratios to pixel targets with the same
masks in the same round. The published claim is that targets in representation space cost about 7 % more time.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from app.evaluation import Floats, encoder_features, load_pool, score_shots
from app.services import Services
from app.training import tiles_for
from jepa.backbones import with_sizes_of_backbone
from jepa.config import RunConfig, parse_overrides
from jepa.distributed import World
from jepa.encoder import load_encoder, random_encoder
from jepa.masking import mask_generator
from jepa.objectives import draw_masks
from jepa.step import Learner, seed_model
from jepa.train import pretrain

BASE = RunConfig(image_px=112, patch_px=8, dim=192, depth=12, heads=3, predictor_dim=96, predictor_depth=4,
                 predictor_heads=3, batch_size=16, mpp=0.5)  # fmt: skip
"""ViT-T on a grid of 14 x 14 patches, as the presets have it."""
REFERENCE = "pixels, the same masks"
"""I-JEPA's masks, encoder and predictor with pixels as targets: what the published claim compares with."""
OBJECTIVES = {
    REFERENCE: {"objective": "mae"}, "ijepa": {}, "ijepa, separate passes": {"target_passes": "separate"},
    "mae": {"objective": "mae"},
    "vicreg (two views)": {"objective": "vicreg"}, "dino (two views)": {"objective": "dino"},
    "ijepa + sigreg": {"sigreg": 0.05}, "ijepa + invariance": {"invariance": 0.1},
}  # fmt: skip
BACKBONES = {
    "ViT-S/16 at 224 px": {"image_px": 224, "patch_px": 16, "dim": 384, "heads": 6, "predictor_dim": 192,
                           "predictor_heads": 6, "predictor_depth": 6},
    "ResNet-50 at 224 px": {"image_px": 224, "backbone": "resnet50", "patch_px": 16, "predictor_dim": 192,
                            "predictor_heads": 6, "predictor_depth": 6},
}  # fmt: skip
PROBED = {"ijepa": {}, "mae": {"objective": "mae"}, "vicreg": {"objective": "vicreg"}}


def time_steps(base: RunConfig, options: dict[str, dict[str, object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round's step of every entry; the first round is not counted."""
    learners = {}
    for name, changes in options.items():
        config = with_sizes_of_backbone(dataclasses.replace(base, **changes))
        learners[name] = Learner(config, World(torch.device("cpu")), seed_model(config))
    seconds: dict[str, list[float]] = {name: [] for name in options}
    for turn in range(rounds + 1):
        for name, learner in learners.items():
            config = learner.config
            pictures = torch.randn(config.batch_size * config.views, 3, config.image_px, config.image_px)
            masks = draw_masks(base if name == REFERENCE else config, config.batch_size, mask_generator(0, turn))
            indices = (torch.from_numpy(masks.context), torch.from_numpy(masks.targets))
            started = time.process_time()
            learner.train_step(pictures, *indices)
            if turn:
                seconds[name].append(time.process_time() - started)
    return seconds


def report(seconds: dict[str, list[float]], reference: str) -> list[dict[str, float | str]]:
    """Return median seconds, quartiles and the median ratio to the reference of the same round."""
    base = np.array(seconds[reference])
    rows = []
    for name, values in seconds.items():
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        ratio = float(np.median(np.array(values) / base))
        rows.append({"name": name, "median_s": middle, "low_s": low, "high_s": high, "ratio": ratio})
    return rows


def probe(base: RunConfig, home: Path, steps: int, seeds: int) -> list[dict[str, float | str]]:
    """Train every objective on the workspace's tiles for as many pictures, and probe it by slide."""
    services = Services.open(home)
    pool = load_pool(services)
    pack = tiles_for(services, base, lambda done, total: None)
    rows = []
    for name, changes in {"untrained": None, **PROBED}.items():
        with tempfile.TemporaryDirectory() as folder:
            config = dataclasses.replace(base, batch_size=32, steps=steps, **(changes or {}))
            started = time.process_time()
            if changes is None:
                encoder = random_encoder(config, seed=0)
            else:
                encoder = load_encoder(pretrain(config, pack, Path(folder)).checkpoint)
            spent = time.process_time() - started
            features: Floats = encoder_features(services, pool, encoder, lambda done, total: None)
        seen = 0 if changes is None else steps * config.batch_size * config.views
        for score in score_shots(pool, name, features, shots=(5, 20), seeds=seeds):
            rows.append({"pictures_seen": seen, "cpu_s": round(spent), **dataclasses.asdict(score)})
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
    services.database.close()
    return rows


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="0: no times")
    parser.add_argument("--probe", type=Path, metavar="HOME")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another size of network")
    options = parser.parse_args()
    base = BASE.with_overrides(parse_overrides(options.set))
    torch.set_num_threads(1)
    result: dict[str, object] = {}
    if options.rounds:
        result["objectives"] = report(time_steps(base, OBJECTIVES, options.rounds), REFERENCE)
        rounds = max(3, options.rounds // 3)
        result["backbones"] = report(time_steps(base, BACKBONES, rounds), "ViT-S/16 at 224 px")
    if options.probe:
        result["probe"] = probe(base, options.probe, options.steps, options.seeds)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
