"""What a label buys: balanced accuracy by the number of labels, asked actively or at random.

Pure functions of arrays. Train and test never share a slide: cells of one slide share stain and
focus, and a split by cell flatters by several points.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling import mixture
from labeling.acquisition import DEFAULT_RULE, NEAR_BEST, Indices, PoolView, scores_of, typical
from labeling.heldout import choose_strength
from labeling.pool import PoolScale
from labeling.probes import LinearProbe, Words

TEST_SHARE = 0.4
"""Share of the slides on the test side of a draw."""
_CURVE_BATCH = 10

Matrix = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """Cells whose class is known: classes and slides, shape (n,) each."""

    classes: Words
    slides: Words


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Rows of one draw; no slide is on both sides."""

    train: Indices
    """In random order, shape (n,)."""
    test: Indices
    """Shape (m,)."""


def split_by_slide(truth: Truth, seed: int) -> Split:
    """Draw slides for the test side; the same seed gives the same split for every encoder."""
    generator = np.random.default_rng(seed)
    slides = generator.permutation(np.unique(truth.slides))
    is_test = np.isin(truth.slides, slides[: max(1, round(TEST_SHARE * len(slides)))])
    return Split(train=generator.permutation(np.flatnonzero(~is_test)), test=np.flatnonzero(is_test))


def low_shot(features: Matrix, truth: Truth, *, shots: int, seeds: int) -> list[float]:
    """Return the balanced accuracy of each draw with `shots` labels of every class; features have shape (n, d).

    A class with fewer cells on the training side gives all that it has. A draw whose training side
    has a single class is left out.
    """
    scale = PoolScale.of(features)
    return [
        _score(features, truth, rows, test, LinearProbe(mean=scale.mean, std=scale.std))
        for rows, test in _shots(truth, shots=shots, seeds=seeds)
    ]


def shots_given(truth: Truth, *, shots: int, seeds: int) -> float:
    """Return how many labels the draws of `low_shot` have in all, mean over draws; 0 without draws.

    Fewer than `shots` times the classes where a class has not so many cells on the training side.
    """
    sizes = [len(rows) for rows, _ in _shots(truth, shots=shots, seeds=seeds)]
    return float(np.mean(sizes)) if sizes else 0.0


def _shots(truth: Truth, *, shots: int, seeds: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield the rows to learn from and to test on."""
    for seed in range(seeds):
        split = split_by_slide(truth, seed)
        classes = truth.classes[split.train]
        rows = np.concatenate([split.train[classes == name][:shots] for name in np.unique(classes)])
        if len(np.unique(truth.classes[rows])) > 1 and len(split.test):
            yield rows, split.test


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, low and high of shares, 0 to 1: a 95 % interval of the mean over draws."""
    mean = float(np.mean(values))
    half = 1.96 * float(np.std(values)) / max(1, len(values) - 1) ** 0.5
    return mean, max(0.0, mean - half), min(1.0, mean + half)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One run: scores after each number of labels, and how many of each class were found by then."""

    labels: list[int]
    scores: list[float]
    found: list[dict[str, int]]


def learning_curve(
    features: Matrix, truth: Truth, *, is_active: bool, budget: int, seed: int, rule: str = DEFAULT_RULE
) -> Curve:
    """Ask for labels in batches, as the worklist does, and test on other slides after each.

    The probe's strength is chosen anew at each doubling of the labels, as a study does.

    Args:
        features: Embeddings, shape (n, d).
        truth: Classes and slides; a class is looked up only when its cell is asked.
        is_active: The product's own queue: typical cells first, then the mixture; False: at random.
        budget: Labels to ask for.
        seed: Decides the split and all chance.
        rule: How uncertain cells are scored.
    """
    split = split_by_slide(truth, seed)
    vectors = features[split.train]
    view = PoolView(vectors, PoolScale.of(vectors))
    classes, slides = truth.classes[split.train], truth.slides[split.train]
    generator = np.random.default_rng(seed)
    asked: list[int] = []
    probe, tuned = LinearProbe(mean=view.scale.mean, std=view.scale.std), 0
    curve = Curve(labels=[], scores=[], found=[])
    while len(asked) < min(budget, len(split.train)):
        count = min(_CURVE_BATCH, budget - len(asked))
        left = np.setdiff1d(np.arange(len(split.train)), asked)
        asked += _next(view, classes, asked, left, count, generator, rule, probe) if is_active else left[
            np.argsort(generator.random(len(left)))
        ][:count].tolist()  # fmt: skip
        if _doubled(asked) != tuned:
            tuned = _doubled(asked)
            probe.set_params(C=_strength(vectors, classes, slides, np.array(asked), probe))
        names, counts = np.unique(classes[asked], return_counts=True)
        curve.labels.append(len(asked))
        curve.found.append(dict(zip(names.tolist(), counts.tolist(), strict=True)))
        curve.scores.append(
            _score(features, truth, split.train[asked], split.test, probe)
            if len(names) > 1 else 1 / len(np.unique(truth.classes[split.test]))
        )  # fmt: skip
    return curve


def all_labels_score(features: Matrix, truth: Truth, seed: int) -> float:
    """Return the score with every label of the training side, which curves run towards; features: shape (n, d)."""
    split = split_by_slide(truth, seed)
    scale = PoolScale.of(features[split.train])
    probe = LinearProbe(mean=scale.mean, std=scale.std)
    probe.set_params(C=_strength(features, truth.classes, truth.slides, split.train, probe))
    return _score(features, truth, split.train, split.test, probe)


def labels_needed(labels: Sequence[int], mean_scores: Sequence[float], goal: float) -> int | None:
    """Return the first number of labels whose mean score reaches the goal, None where none does."""
    return next((n for n, score in zip(labels, mean_scores, strict=True) if score >= goal), None)


def _next(
    view: PoolView, classes: Words, asked: list[int], left: Indices, count: int,
    generator: np.random.Generator, rule: str, probe: LinearProbe,
) -> list[int]:  # fmt: skip
    names, codes = np.unique(classes[asked], return_inverse=True) if asked else (np.empty(0), np.empty(0))
    if len(names) < 2:
        return typical(view, left, count, seed=int(generator.integers(1 << 31))).tolist()[:count]
    probe.fit(view.vectors[asked], classes[asked])
    scores = scores_of(rule, probe.predict_proba(view.vectors[:]), np.bincount(codes))
    parts = mixture.Shares().ranked()
    queue = mixture.mix(
        view, scores, left, view.units(np.array(asked)), parts=parts, length=count, generator=generator,
        near_best=NEAR_BEST.get(rule, 0.0),
    )  # fmt: skip
    return [row for row, _ in queue]


def _doubled(asked: Sequence[int] | Indices) -> int:
    """Return the highest power of two of labels: on so many of the first the strength is chosen."""
    return 1 << (len(asked).bit_length() - 1) if len(asked) else 0


def _strength(features: Matrix, classes: Words, slides: Words, asked: Indices, probe: LinearProbe) -> float:
    first = asked[: _doubled(asked)]
    return choose_strength(features[first].astype(np.float64), classes[first], slides[first], probe=probe)


def _score(features: Matrix, truth: Truth, train: Indices, test: Indices, probe: LinearProbe) -> float:
    guesses = probe.fit(features[train], truth.classes[train]).predict(features[test])
    # A class that only the training side has cannot be recalled and does not count.
    recalls = [np.mean(guesses[truth.classes[test] == name] == name) for name in np.unique(truth.classes[test])]
    return float(np.mean(recalls))
