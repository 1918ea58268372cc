"""When more labels no longer pay, and whether the queue beats chance here. Pure functions; advice, never a stop."""

from dataclasses import dataclass

import numpy as np

from labeling.curves import Truth, interval, split_by_slide
from labeling.fitting import Training
from labeling.heldout import held_out, starting_at
from labeling.pool import Floats, PoolScale
from labeling.probes import LinearProbe

LAST_LABELS = 64
"""Churn: how far the suggestions move when the last so many labelled rows are left out."""
NEXT_LABELS = 100
SAMPLE_ROWS = 2000
FEWEST_LABELS = 20
"""Labels of a class below which nothing is said about it."""
_SEEDS, _MANY_SEEDS, _MANY = 5, 3, 10_000
"""Draws of a class's gain; of so many labels fewer: a hundred more move it there by hundredths of a point."""
_STEADY = 0.01
_SMALL_GAIN = 0.01
_FEWEST_OF_AN_ARM = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSignal:
    """What more labels of one class would change."""

    category: str
    labels: float
    churn: float | None
    """Share of this class's suggestions that the last labels have moved; None while it is too early."""
    gain: float | None
    """Expected change of its recall by the next hundred labels."""
    low: float | None
    high: float | None
    advice: str
    """"too early", "label more" or "enough"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmComparison:
    """Balanced accuracy on random cells of slides left out: trained on active against as many random labels."""

    labels: int
    active: float
    random: float
    difference: float
    low: float
    """Lower end of the 95 % interval of the difference, over draws of the slides."""
    high: float


def stop_signals(training: Training, scale: PoolScale, sample: Floats, *, strength: float) -> list[StopSignal]:
    """Say for every class whether more labels would change its suggestions.

    The gain assumes that recall grows with the logarithm of the labels: the step from half of them to
    all of them, measured on slides left out, is carried on. Its interval is over draws.

    Args:
        training: All labelled rows, oldest first.
        scale: Of the pool.
        sample: A fixed random sample of the pool, shape (m, d).
        strength: The probe's C.
    """
    training = training.answers()
    names = np.unique(training.classes)
    counts = {str(name): float(training.weights[training.classes == name].sum()) for name in names}
    probe = _fitted(training, LinearProbe(C=strength, mean=scale.mean, std=scale.std))
    churn = _churn(probe, training, sample)
    gains = _gains(probe, training, [str(name) for name in names])
    draws = _draws(len(training.cell_ids))
    return [_signal(name, counts[name], churn.get(name), gains.get(name), draws) for name in counts]


def compare_arms(
    training: Training, scale: PoolScale, *, strength: float, seeds: int = 20
) -> ArmComparison | None:  # fmt: skip
    """Ask whether the study's own queue has taught the probe more than as many random labels.

    Args:
        training: All labelled rows.
        scale: Of the pool.
        strength: The probe's C.
        seeds: Draws of the slides.

    Returns:
        None while either arm has fewer than 30 labels, or no draw leaves two classes.
    """
    training = training.answers()
    random, active = np.flatnonzero(training.is_random), np.flatnonzero(~training.is_random)
    if min(len(random), len(active)) < _FEWEST_OF_AN_ARM:
        return None
    probe = LinearProbe(C=strength, mean=scale.mean, std=scale.std)
    pairs, sizes = [], []
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        slides = generator.permutation(np.unique(training.slides))
        is_test = np.isin(training.slides, slides[: len(slides) // 2])
        test = random[is_test[random]]
        arms = [generator.permutation(rows[~is_test[rows]]) for rows in (active, random)]
        size = min(map(len, arms))
        if not len(test) or any(len(set(training.classes[rows[:size]])) < 2 for rows in arms):
            continue
        pairs.append([_recall(probe, training, rows[:size], test) for rows in arms])
        sizes.append(size)
    if not pairs:
        return None
    table = np.array(pairs)
    differences = table[:, 0] - table[:, 1]
    low, high = np.quantile(differences, [0.025, 0.975])
    return ArmComparison(
        labels=int(np.mean(sizes)), active=float(table[:, 0].mean()), random=float(table[:, 1].mean()),
        difference=float(differences.mean()), low=float(low), high=float(high),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """Balanced accuracy on slides left out after the first labels, in the order in which they were given."""

    labels: int
    balanced_accuracy: float
    low: float
    """Lower end of the 95 % interval of the mean over draws of the slides."""
    high: float


def growth(training: Training, scale: PoolScale, *, strength: float, seeds: int = 10) -> list[Growth]:
    """Say what the labels bought so far: 10, 20, 40, ... of them, and all, tested on slides that they are not of.

    Args:
        training: All labelled rows, oldest first.
        scale: Of the pool.
        strength: The probe's C.
        seeds: Draws of the slides.

    Returns:
        Points in the order of the labels; the last one is all labels of the training side. A number at which
        too few draws have two classes is left out.
    """
    training = training.answers()
    probe = LinearProbe(C=strength, mean=scale.mean, std=scale.std)
    truth = Truth(classes=training.classes, slides=training.slides)
    splits = [split_by_slide(truth, seed) for seed in range(seeds)]
    everything = round(float(np.mean([len(split.train) for split in splits])))
    points = []
    for count in [*(10 << power for power in range(20) if 10 << power < everything), everything]:
        scores = []
        for split in splits:
            # A draw with a few rows less on the training side gives all that it has.
            train = np.sort(split.train)[: None if count == everything else count]
            if len(set(training.classes[train])) > 1 and len(split.test):
                scores.append(_recall(probe, training, train, split.test))
        if len(scores) > seeds // 2:
            mean, low, high = interval(scores)
            points.append(Growth(labels=count, balanced_accuracy=mean, low=low, high=high))
    return points


def _fitted(training: Training, probe: LinearProbe) -> LinearProbe:
    """Fit a probe where there are two classes. Fits of parts of the labels that begin there take half the time."""
    if len(set(training.classes)) < 2:
        return probe
    return probe.fit(training.vectors, training.classes, sample_weight=training.weights)


def _churn(probe: LinearProbe, training: Training, sample: Floats) -> dict[str, float]:
    """Return for each class the share of its suggestions in the sample that the last labels have moved."""
    before = training.first(max(0, len(training.cell_ids) - LAST_LABELS))
    if len(set(before.classes)) < 2:
        return {}
    earlier = _fitted(before, starting_at(probe))
    guesses = [earlier.predict(sample), probe.predict(sample)]
    moved = {}
    for name in np.unique(training.classes):
        either = (guesses[0] == name) | (guesses[1] == name)
        if either.any():
            moved[str(name)] = float((guesses[0] != guesses[1])[either].mean())
    return moved


def _gains(probe: LinearProbe, training: Training, names: list[str]) -> dict[str, list[float]]:
    """Return for each class what the next labels would add to its recall, one figure per draw."""
    number = len(training.cell_ids)
    found: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(_draws(number)):
        half = np.sort(np.random.default_rng(seed).permutation(number)[: number // 2])
        recalls = [_recalls(probe, training, rows, seed) for rows in (half, np.arange(number))]
        for name in set(recalls[0]) & set(recalls[1]):
            found[name].append((recalls[1][name] - recalls[0][name]) * np.log2(1 + NEXT_LABELS / number))
    return found


def _recalls(probe: LinearProbe, training: Training, rows: np.ndarray, seed: int) -> dict[str, float]:
    out = held_out(
        training.vectors[rows], training.classes[rows], training.slides[rows], probe=probe,
        sample_weight=training.weights[rows], seed=seed,
    )  # fmt: skip
    if out is None:
        return {}
    is_right = out.logits.argmax(axis=1) == out.codes
    return {
        str(name): float(is_right[out.has_logits & (out.codes == code)].mean())
        for code, name in enumerate(out.classes)
        if (out.has_logits & (out.codes == code)).any()
    }


def _recall(probe: LinearProbe, training: Training, train: np.ndarray, test: np.ndarray) -> float:
    fitted = probe.fit(training.vectors[train], training.classes[train], sample_weight=training.weights[train])
    is_right = fitted.predict(training.vectors[test]) == training.classes[test]
    return float(np.mean([is_right[training.classes[test] == c].mean() for c in np.unique(training.classes[test])]))


def _draws(labels: int) -> int:
    return _SEEDS if labels < _MANY else _MANY_SEEDS


def _signal(name: str, labels: float, churn: float | None, gains: list[float] | None, draws: int) -> StopSignal:
    if labels < FEWEST_LABELS or churn is None or not gains or len(gains) < draws:
        return StopSignal(category=name, labels=labels, churn=None, gain=None, low=None, high=None, advice="too early")
    mean, half = float(np.mean(gains)), 1.96 * float(np.std(gains)) / (len(gains) - 1) ** 0.5
    is_enough = churn <= _STEADY and mean + half < _SMALL_GAIN
    return StopSignal(
        category=name, labels=labels, churn=churn, gain=mean, low=mean - half, high=mean + half,
        advice="enough" if is_enough else "label more",
    )  # fmt: skip
