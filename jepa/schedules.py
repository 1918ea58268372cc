"""Learning rate, weight decay and EMA momentum of a step: pure functions of the step's index.

I-JEPA (Assran et al. 2023, appendix A.1). The index counts from 0 and the value is what that step
uses, so a resumed run needs no state here. Knows no optimiser.
"""

import math


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


def ema_momentum(index: int, *, steps: int, first: float, last: float) -> float:
    """Return the momentum of the target encoder after a step: linear from `first` to `last`."""
    return first + (last - first) * index / steps


def _half_cosine(progress: float, *, first: float, last: float) -> float:
    share = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return last + (first - last) * share
