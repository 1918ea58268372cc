"""Held-out figures never use a slide on both sides, and say nothing where nothing can be said."""

from dataclasses import replace

import numpy as np
from sklearn.metrics import balanced_accuracy_score

from labeling.curves import Truth, all_labels_score, interval, labels_needed, learning_curve, low_shot, split_by_slide
from labeling.fitting import Training, fit, rebuild, refit_settings, spread_parents, tune
from labeling.heldout import choose_strength, held_out
from labeling.pool import PoolScale
from labeling.probes import LinearProbe


def _study(seed: int = 0, rows: int = 240, slides: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y, groups = generator.integers(3, size=rows), np.arange(rows) % slides
    stain = generator.normal(size=(slides, 10)) * 2
    x = generator.normal(size=(rows, 10)) + 1.5 * np.eye(10)[y] + stain[groups]
    return x, np.array(["NILM", "LSIL", "HSIL"])[y], groups


def _training() -> Training:
    x, y, groups = _study()
    return Training(cell_ids=[f"c{i}" for i in range(240)], vectors=x, classes=y, weights=np.ones(240), slides=groups,
                    is_random=np.arange(240) < 60, is_exemplar=np.zeros(240, bool))  # fmt: skip


def test_held_out__a_slide_that_gives_its_class_away_does_not_help() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 6)
    y = generator.permutation(np.arange(40) % 2)[groups]
    x = np.eye(40)[groups] * 10 + generator.normal(size=(240, 40)) * 0.1
    apart = held_out(x, y, groups, probe=LinearProbe())
    together = held_out(x, y, np.arange(240), probe=LinearProbe())

    assert together.balanced_accuracy > 0.99
    assert apart.balanced_accuracy < 0.7


def test_held_out__too_few_labels_give_no_figure() -> None:
    x, y, groups = _study()

    assert held_out(x[:1], y[:1], groups[:1], probe=LinearProbe()) is None
    assert held_out(x, y, np.where(y == "HSIL", 0, groups), probe=LinearProbe()) is None


def test_held_out__partial_learns_from_a_class_of_one_slide_and_predicts_the_others() -> None:
    x, y, groups = _study()
    groups = np.where(y == "HSIL", 0, groups)
    found = held_out(x, y, groups, probe=LinearProbe(), is_partial=True)
    two = np.isin(y, ["HSIL", "LSIL"])
    one = np.where(y == "NILM", groups, 0)

    assert found is not None
    assert not found.has_logits[(y == "HSIL") | (groups == 0)].any()
    assert found.has_logits[(y != "HSIL") & (groups != 0)].mean() > 0.7
    gap = found.logits[:, 1] - found.logits[:, 2]
    assert gap[found.has_logits & (y == "LSIL")].mean() > gap[found.has_logits & (y == "NILM")].mean() + 0.5
    assert held_out(x[two], y[two], groups[two], probe=LinearProbe(), is_partial=True) is None
    assert held_out(x, y, one, probe=LinearProbe(), is_partial=True) is None


def test_fit__a_new_class_of_one_slide_keeps_temperature_and_strength_and_takes_the_figures() -> None:
    x, y, groups = _study()
    lonely = replace(_training(), slides=np.where(y == "HSIL", 0, groups))
    scale = PoolScale.of(x)
    found = fit(lonely, scale, strength=tune(lonely, scale))

    assert tune(lonely, scale) == 2.0
    assert found.probe.temperature != 1.0
    assert found.metrics["balanced_accuracy"] is None
    assert found.metrics["conformal"] is None


def test_strength__noise_wants_a_stronger_penalty() -> None:
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(150, 60)), generator.integers(2, size=150)

    assert choose_strength(x, y, np.arange(150), probe=LinearProbe()) == 2.0
    assert choose_strength(x[:40], y[:40], np.arange(40), probe=LinearProbe(C=7)) == 7.0


def test_fit__figures_prior_and_the_same_bits_again() -> None:
    training = _training()
    scale = PoolScale.of(training.vectors)
    found = fit(training, scale, strength=tune(training, scale))
    again = rebuild(training, scale, refit_settings(found.probe))

    assert 0.34 < found.metrics["balanced_accuracy"] < 1
    assert 0 <= found.metrics["calibration_error"] < 0.2
    assert found.metrics["random_labels"] == 60
    assert abs(sum(found.metrics["prior"]) - 1) < 1e-5
    assert sum(found.metrics["conformal"]["labels"]) == found.metrics["held_out_labels"] == 240
    assert np.array_equal(again.coef_, found.probe.coef_)


def test_parents__are_spread_over_the_classes_they_cover() -> None:
    training = _training()
    probe = LinearProbe().fit(training.vectors, training.classes)
    (shares, nothing) = spread_parents(probe, training.vectors[:2], [("LSIL", "HSIL", "SCC"), ("SCC",)])

    assert shares.keys() == {"LSIL", "HSIL"}
    assert abs(sum(shares.values()) - 1) < 1e-9
    assert nothing == {}


def test_split__no_slide_is_on_both_sides() -> None:
    _, y, groups = _study()
    split = split_by_slide(Truth(classes=y, slides=groups), seed=3)

    assert not set(groups[split.train]) & set(groups[split.test])
    assert len(split.train) + len(split.test) == 240


def test_low_shot__more_labels_are_better_and_draws_are_repeatable() -> None:
    x, y, groups = _study()
    truth = Truth(classes=y, slides=groups)
    few, many = (low_shot(x, truth, shots=n, seeds=6) for n in (2, 20))

    assert np.mean(many) > np.mean(few) + 0.05
    assert low_shot(x, truth, shots=2, seeds=6) == few
    mean, low, high = interval(few)
    assert low < mean < high


def test_learning_curve__active_finds_rare_cells_that_chance_does_not() -> None:
    generator = np.random.default_rng(0)
    y = np.where(generator.random(1500) < 0.03, "HSIL", "NILM")
    x = generator.normal(size=(1500, 6)) + np.where(y == "HSIL", 2.2, 0)[:, None] * np.eye(6)[0]
    truth = Truth(classes=y, slides=np.arange(1500) // 15)
    found = {
        arm: np.sum([learning_curve(x, truth, is_active=arm, budget=100, seed=s).found[-1].get("HSIL", 0)
                     for s in range(3)])
        for arm in (True, False)
    }  # fmt: skip
    curve = learning_curve(x, truth, is_active=True, budget=100, seed=0)

    assert found[True] > 2 * found[False]
    assert curve.labels == list(range(10, 101, 10))
    assert all_labels_score(x, truth, 0) > 0.7
    assert labels_needed([10, 20, 30], [0.2, 0.5, 0.6], 0.5) == 20
    assert labels_needed([10], [0.2], 0.5) is None


def test_all_labels_score__is_of_the_strength_that_slides_left_out_ask_for() -> None:
    generator = np.random.default_rng(3)
    y = generator.integers(2, size=200)
    x = generator.normal(size=(200, 150)) + 0.6 * y[:, None] * np.eye(150)[0]
    truth = Truth(classes=y, slides=np.arange(200) // 2)
    split = split_by_slide(truth, 0)
    by_strength = {}
    for strength in (2.0, 20.0):
        scale = PoolScale.of(x[split.train])
        probe = LinearProbe(C=strength, mean=scale.mean, std=scale.std).fit(x[split.train], y[split.train])
        by_strength[strength] = balanced_accuracy_score(y[split.test], probe.predict(x[split.test]))

    assert by_strength[2.0] != by_strength[20.0]
    assert abs(all_labels_score(x, truth, 0) - by_strength[2.0]) < 1e-9
