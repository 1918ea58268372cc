"""Learning rate, weight decay and EMA momentum of a step: pure functions of the step's index.

I-JEPA (Assran et al. 2023, appendix A.1). The index counts from 0 and the value is what that step
uses, so a resumed run needs no state here. Knows no optimiser.

    rates(0, config)                                            # all three, of a run's first step
    learning_rate(0, steps=1000, warmup_steps=150, start=2e-4, peak=1e-3, final=1e-6)

`steps` is the length of the schedule, which may be longer than the run (`schedule_scale`).
"""

import math
from dataclasses import dataclass

from jepa.config import RunConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What one step uses."""

    lr: float
    weight_decay: float
    """Of parameters with more than one dimension; the others have none."""
    momentum: float
    """Of the target encoder, after the step."""


def rates(index: int, config: RunConfig) -> Rates:
    """Return the rates of a step of a run.

    Args:
        index: The step, from 0.
        config: `epochs` must have been turned into `steps` (`RunConfig.for_tiles`).
    """
    length = config.schedule_scale * config.steps
    return Rates(
        lr=learning_rate(
            index, steps=int(length), warmup_steps=round(config.warmup * config.steps),
            start=config.start_lr, peak=config.lr, final=config.final_lr,
        ),
        weight_decay=weight_decay(
            index, steps=int(length), first=config.weight_decay, last=config.final_weight_decay
        ),
        momentum=ema_momentum(index, steps=length, first=config.ema, last=config.final_ema),
    )  # fmt: skip


def learning_rate(index: int, *, steps: int, warmup_steps: int, start: float, peak: float, final: float) -> float:
    """Return the learning rate of a step: a linear rise to `peak`, then half a cosine to `final`.

    Args:
        index: The step, from 0.
        steps: Length of the whole schedule.
        warmup_steps: Steps of the rise; the last of them reaches `peak`.
        start: Where the rise begins (never used itself: the first step is one notch above it).
        peak: Highest rate.
        final: Rate at the end.
    """
    count = index + 1
    if count < warmup_steps:
        return start + (peak - start) * count / warmup_steps
    progress = (count - warmup_steps) / max(1, steps - warmup_steps)
    return _half_cosine(progress, first=peak, last=final)


def weight_decay(index: int, *, steps: int, first: float, last: float) -> float:
    """Return the weight decay of a step: half a cosine from `first` to `last`, no warm-up.

    Differs from the paper, which says linear: this is what the published runs used.
    """
    return _half_cosine((index + 1) / steps, first=first, last=last)


def ema_momentum(index: int, *, steps: float, first: float, last: float) -> float:
    """Return the momentum of the target encoder after a step: linear from `first` to `last`.

    `steps` may be a fraction: the published schedule does not round the scaled length here.
    """
    return first + (last - first) * index / steps


def _half_cosine(progress: float, *, first: float, last: float) -> float:
    share = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return last + (first - last) * share
