"""Images per second of a whole pretraining step: ours against the published algorithm written plainly.

    python tests/benchmarks/pretrain.py [--rounds 7] [--steps 2] [--threads 1] [--passes union]
                                        [--precision fast] [--plain published] [--json]

The plain version is the same arithmetic as published: explicit attention, each target block in its
own predictor pass, AdamW and the target encoder's update in Python loops, and a number fetched from
the device for the loss and for every weight matrix in every step. `--plain published` lets it
multiply in bfloat16 on a GPU alone, as published, `--plain same` wherever ours does. Both get the same pictures and the
same masks, in turns within one run, so that a busy machine disturbs both alike; the ratio of the CPU
seconds is what counts on a CPU that others use too.
"""

import argparse
import dataclasses
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jepa.backbones import encode, gather_patches
from jepa.config import PRECISIONS, RunConfig
from jepa.distributed import World
from jepa.masking import MaskConfig
from jepa.model import IJepa
from jepa.precision import dtype_of
from jepa.published_masks import sample_published_masks
from jepa.schedules import rates
from jepa.step import Learner, seed_model

CASES = {
    "ViT-T/16 224 px": RunConfig(image_px=224, patch_px=16, dim=192, heads=3, predictor_dim=192, predictor_depth=6,
                                 predictor_heads=3, min_context=10, batch_size=16),
    "ViT-S/8 64 px": RunConfig(image_px=64, patch_px=8, dim=384, heads=6, predictor_dim=192, predictor_depth=6,
                               predictor_heads=6, batch_size=32),
}  # fmt: skip
GOALS = {"ViT-T/16 224 px": 1.8, "ViT-S/8 64 px": 1.3}


class PlainTrainer:
    """The published algorithm without any of the product's short cuts."""

    def __init__(self, config: RunConfig, device: torch.device, precision: str) -> None:
        self.config, self.device, self.step = config, device, 0
        self.is_narrow = dtype_of(precision, device) == torch.bfloat16
        self.model: IJepa = seed_model(config).to(device)
        for block in self.model.blocks():
            block.attn.fused_attn = False
        learnt = [p for p in self.model.parameters() if p.requires_grad]
        groups = [{"params": [p for p in learnt if p.ndim > 1]},
                  {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0}]  # fmt: skip
        self.optimiser = torch.optim.AdamW(groups, betas=config.betas, foreach=False)

    def train_step(self, pictures: Tensor, context: Tensor, targets: Tensor) -> float:
        """Do one step; every number is fetched at once."""
        now = rates(self.step, self.config)
        for group, decay in zip(self.optimiser.param_groups, (now.weight_decay, 0.0), strict=True):
            group["lr"], group["weight_decay"] = now.lr, decay
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_narrow):
            loss = self._loss(pictures, context, targets)
        loss_value = loss.item()
        loss.backward()
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm, foreach=False)
        self.optimiser.step()
        for parameter in self.model.encoder.parameters():
            if parameter.grad is not None and parameter.ndim > 1:
                parameter.grad.norm().item()
        self.optimiser.zero_grad()
        pairs = zip(self.model.encoder.parameters(), self.model.target_encoder.parameters(), strict=True)
        with torch.no_grad():
            for fast, slow in pairs:
                slow.mul_(now.momentum).add_(fast, alpha=1 - now.momentum)
        self.step += 1
        return loss_value

    def _loss(self, pictures: Tensor, context: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            everything = encode(self.model.target_encoder, pictures).float()
            everything = functional.layer_norm(everything, everything.shape[-1:])
        tokens = encode(self.model.encoder, pictures, context)
        predictor = self.model.predictor
        losses = []
        for block in targets:
            known = predictor.predictor_embed(tokens) + gather_patches(predictor.predictor_pos_embed, context)
            asked = predictor.mask_token + predictor.predictor_pos_embed[0][block]
            out = predictor.predictor_norm(predictor.predictor_blocks(torch.cat([known, asked], dim=1)))
            guess = predictor.predictor_proj(out[:, -asked.shape[1] :])
            losses.append(functional.smooth_l1_loss(guess.float(), gather_patches(everything, block)))
        return torch.stack(losses).mean()


@dataclass(frozen=True)
class Timing:
    """Seconds of some steps."""

    cpu: float
    wall: float


def measure(step: Callable[[], object], count: int, device: torch.device) -> Timing:
    """Time some steps, to the end of the device's work."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        step()
    wait()
    return Timing(time.process_time() - cpu, time.perf_counter() - wall)


def batch_for(config: RunConfig, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return pictures and masks that both trainers get, of the published sampler."""
    masks = sample_published_masks(config.grid, MaskConfig.of(config), config.batch_size, np.random.default_rng(0))
    pictures = torch.randn(config.batch_size, 3, config.image_px, config.image_px,
                           generator=torch.Generator().manual_seed(0))  # fmt: skip
    parts = (pictures, torch.from_numpy(masks.context), torch.from_numpy(masks.targets))
    return tuple(part.to(device) for part in parts)  # type: ignore[return-value]


def compare(
    config: RunConfig, device: torch.device, plain_precision: str, options: argparse.Namespace
) -> dict[str, object]:
    """Time both in turns; the first round warms up and does not count."""
    rounds, steps = options.rounds, options.steps
    plain = PlainTrainer(config, device, plain_precision)
    ours = Learner(config, World(device), seed_model(config))
    batch = batch_for(config, device)
    pairs = []
    for number in range(rounds + 1):
        trainers = (plain, ours) if number % 2 else (ours, plain)
        timings = {trainer: measure(lambda t=trainer: t.train_step(*batch), steps, device) for trainer in trainers}
        pairs.append((timings[plain], timings[ours]))
    pairs = pairs[1:]
    images = config.batch_size * steps
    result: dict[str, object] = {"context": batch[1].shape[1], "target": batch[2].shape[2]}
    for clock in ("cpu", "wall"):
        slow, fast = ([getattr(pair[i], clock) for pair in pairs] for i in (0, 1))
        ratios = sorted(a / b for a, b in zip(slow, fast, strict=True))
        result[clock] = {
            "plain_images_per_second": round(images / statistics.median(slow), 2),
            "ours_images_per_second": round(images / statistics.median(fast), 2),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_low": round(ratios[0], 3),
            "ratio_high": round(ratios[-1], 3),
        }
    return result


def main() -> None:
    """Run the cases and print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of both, in turns")
    parser.add_argument("--steps", type=int, default=2, help="steps of each in a round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--passes", choices=("joint", "union"), default="joint", help="target_passes of ours")
    parser.add_argument("--precision", choices=PRECISIONS, default="fast", help="of ours")
    parser.add_argument(
        "--plain", choices=("published", "same"), default="published", help="precision of the plain one"
    )
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    ours = {"target_passes": options.passes, "precision": options.precision}
    cases = {name: dataclasses.replace(CASES[name], **ours) for name in options.case or CASES}
    plain = "auto" if options.plain == "published" else options.precision
    results = {name: compare(config, device, plain, options) for name, config in cases.items()}
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine, "threads": options.threads, "results": results}) + "\n")
        return
    types = " and ".join(str(dtype_of(name, device)).removeprefix("torch.") for name in (plain, options.precision))
    sys.stdout.write(f"plain and ours in {types}\n")
    sys.stdout.write(f"{machine}, {options.threads} thread(s), median of {options.rounds} rounds [lowest, highest]\n")
    for name, result in results.items():
        for clock in ("cpu", "wall"):
            r = result[clock]
            sys.stdout.write(
                f"{name:16} {clock:4} plain {r['plain_images_per_second']:7.2f} "
                f"ours {r['ours_images_per_second']:7.2f} images/s  "
                f"ratio {r['ratio']:.2f} [{r['ratio_low']:.2f}, {r['ratio_high']:.2f}]  goal {GOALS[name]}\n"
            )


if __name__ == "__main__":
    main()
