"""Advice to stop comes where labels no longer change anything, and never too early."""

import numpy as np

from labeling.fitting import Training
from labeling.pool import PoolScale
from labeling.stopping import compare_arms, growth, stop_signals


def _training(rows: int, *, gap: float, is_random: np.ndarray | None = None, seed: int = 0) -> Training:
    generator = np.random.default_rng(seed)
    y = np.where(np.arange(rows) % 12 == 5, 2, np.arange(rows) % 2)
    vectors = generator.normal(size=(rows, 8)) + gap * np.eye(8)[y]
    return Training(
        cell_ids=[f"c{n}" for n in range(rows)], vectors=vectors, classes=np.array(["NILM", "LSIL", "SCC"])[y],
        weights=np.ones(rows), slides=np.arange(rows) % 41,
        is_random=generator.random(rows) < 0.5 if is_random is None else is_random,
        is_exemplar=np.zeros(rows, bool),
    )  # fmt: skip


def test_stop__easy_classes_are_enough_and_a_thin_one_is_too_early() -> None:
    training = _training(216, gap=9.0)
    scale = PoolScale.of(training.vectors)
    found = {x.category: x for x in stop_signals(training, scale, _training(500, gap=9.0, seed=1).vectors, strength=20)}

    assert found["NILM"].advice == found["LSIL"].advice == "enough"
    assert (found["SCC"].labels, found["SCC"].advice, found["SCC"].gain) == (18, "too early", None)


def test_stop__where_suggestions_still_move_more_labels_are_wanted() -> None:
    training = _training(150, gap=1.0)
    found = stop_signals(training, PoolScale.of(training.vectors), _training(500, gap=1.0, seed=1).vectors, strength=20)
    nilm = next(x for x in found if x.category == "NILM")

    assert nilm.advice == "label more"
    assert nilm.churn > 0.02
    assert nilm.low <= nilm.gain <= nilm.high


def test_stop__few_labels_say_nothing() -> None:
    training = _training(40, gap=2.0)

    assert {
        x.advice for x in stop_signals(training, PoolScale.of(training.vectors), training.vectors, strength=20)
    } == {"too early"}


def test_stop__fewer_labels_than_churn_looks_back_are_too_early_however_easy() -> None:
    training = _training(63, gap=9.0)
    training.classes[training.classes == "SCC"] = "LSIL"
    found = stop_signals(training, PoolScale.of(training.vectors), training.vectors, strength=20)

    assert max(x.labels for x in found) > 20
    assert {x.advice for x in found} == {"too early"}


def test_arms__a_queue_that_asks_useless_cells_is_seen() -> None:
    is_random = np.arange(400) < 200
    training = _training(400, gap=2.0, is_random=is_random)
    training.vectors[~is_random] = np.random.default_rng(3).normal(size=(200, 8))
    scale = PoolScale.of(training.vectors)
    bad, fair = compare_arms(training, scale, strength=20), compare_arms(_training(400, gap=2.0), scale, strength=20)

    assert bad.high < 0
    assert bad.active < bad.random - 0.2
    assert fair.low < 0 < fair.high
    assert compare_arms(_training(50, gap=2.0), scale, strength=20) is None


def test_growth__follows_the_order_of_the_labels() -> None:
    training = _training(200, gap=3.0)
    # The first 40 labels teach nothing: their vectors say nothing of their class.
    training.vectors[:40] = np.random.default_rng(5).normal(size=(40, 8))
    found = growth(training, PoolScale.of(training.vectors), strength=20)

    assert [point.labels for point in found][:4] == [10, 20, 40, 80]
    assert 110 <= found[-1].labels <= 130, "all labels of the training side"
    assert found[0].balanced_accuracy < 0.6 < 0.75 < found[-1].balanced_accuracy
    assert all(point.low <= point.balanced_accuracy <= point.high for point in found)
    assert growth(_training(12, gap=3.0).first(1), PoolScale.of(training.vectors), strength=20) == []
