"""Probabilities may be believed as far as the figures beside them say."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import softmax

from labeling.calibration import (
    ConformalSets,
    choose_temperature,
    class_shares,
    expected_calibration_error,
    novelty,
    probabilities_of,
    reliability_bins,
    shift_prior,
    squared_calibration_error,
)


def _draw(rows: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `sharpness` times too sure, and classes drawn from the honest ones."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(size=(rows, 4)) * 1.5
    codes = (softmax(honest, axis=1).cumsum(axis=1) > generator.random((rows, 1))).argmax(axis=1)
    return honest * sharpness, codes


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_temperature__undoes_a_probe_that_is_too_sure_or_too_shy(sharpness: float) -> None:
    logits, codes = _draw(4000, sharpness)
    found = choose_temperature(logits, codes)
    before = expected_calibration_error(softmax(logits, axis=1), codes)
    after = expected_calibration_error(probabilities_of(logits, found), codes)

    assert found == pytest.approx(sharpness, rel=0.15)
    assert after < 0.03
    assert after <= before + 0.01


def test_temperature__stays_one_below_twenty_labels_and_heeds_many_beside_a_rare_class() -> None:
    logits, codes = _draw(300, 3.0)
    one = np.append(np.flatnonzero(codes != 2), np.flatnonzero(codes == 2)[:1])

    assert choose_temperature(logits[:19], codes[:19]) == 1.0
    assert choose_temperature(logits[one], codes[one]) == pytest.approx(3.0, rel=0.25)


def test_temperature__of_cells_that_are_wrong_together_by_slide_stays_near_what_studies_share() -> None:
    generator = np.random.default_rng(1)
    slides, is_right = np.arange(400) // 50, np.array([True, False, True, True, False, True, False, True])
    codes = generator.integers(4, size=400)
    told = np.where(is_right[slides], codes, (codes + 1) % 4)
    logits = 3.0 * np.eye(4)[told]
    apart, together = choose_temperature(logits, codes), choose_temperature(logits, codes, groups=slides)

    assert apart == pytest.approx(3 / np.log(5), rel=0.05)
    assert 1.2 < together < 1.5


def test_calibration_error__by_hand() -> None:
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]])
    codes = np.array([0, 1, 0, 1])

    assert expected_calibration_error(probabilities, codes) == pytest.approx((2 * 0.45 + 2 * 0.35) / 4)


@pytest.mark.parametrize("fault", [0.0, 0.15])
def test_squared_calibration_error__has_no_share_of_chance_though_cells_of_a_slide_are_alike(fault: float) -> None:
    plain, squared = [], []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        slides = np.repeat(np.arange(20), 6)
        confidence = generator.uniform(0.5, 0.84, 120)
        # Half of the slides' cells are right or wrong together.
        luck = np.where(generator.random(120) < 0.5, generator.random(20)[slides], generator.random(120))
        codes = (luck > confidence - fault).astype(int)
        told = np.column_stack([confidence, 1 - confidence])
        plain.append(expected_calibration_error(told, codes))
        squared.append(squared_calibration_error(told, codes, slides))

    assert np.mean(plain) > max(fault, 0.06)
    assert np.mean(squared) == pytest.approx(fault**2, abs=0.004)


def test_squared_calibration_error__of_one_slide_cannot_be_told() -> None:
    assert squared_calibration_error(np.array([[0.9, 0.1]] * 5), np.zeros(5, int), np.zeros(5)) is None


def test_conformal__covers_what_it_promises() -> None:
    logits, codes = _draw(3000, 1.0)
    sets = ConformalSets.fit(softmax(logits, axis=1), codes, alpha=0.1)
    fresh, truth = _draw(6000, 1.0, seed=1)
    inside = sets.contains(softmax(fresh, axis=1))

    assert inside[np.arange(6000), truth].mean() == pytest.approx(0.9, abs=0.02)
    assert 1 < inside.sum(axis=1).mean() < 3


def test_conformal__of_slides_whose_cells_are_alike_covers_cells_of_a_new_slide() -> None:
    """Each slide has a mood of its own that moves all its logits: twelve slides hold twelve facts, not 120."""
    generator = np.random.default_rng(0)
    covered: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(60):
        logits, codes = _draw(240, 1.0, seed=seed)
        slides = np.repeat(np.arange(24), 10)
        right = np.eye(4)[codes]
        probabilities = softmax(0.3 * logits + right * generator.normal(size=24)[slides][:, None] * 4, axis=1)
        known, fresh = slides < 12, slides >= 12
        for knows in (True, False):
            sets = ConformalSets.fit(
                probabilities[known], codes[known], groups=slides[known] if knows else None, alpha=0.1
            )
            inside = sets.contains(probabilities[fresh])
            covered[knows].append(inside[np.arange(fresh.sum()), codes[fresh]].mean())

    assert np.mean(covered[False]) < 0.885
    assert np.mean(covered[True]) == pytest.approx(0.9, abs=0.02)


def test_conformal__promises_nothing_from_eight_labels() -> None:
    logits, codes = _draw(8, 1.0)

    assert ConformalSets.fit(softmax(logits, axis=1), codes, alpha=0.1) is None
    assert ConformalSets.fit(*(softmax(_draw(9, 1.0)[0], axis=1), _draw(9, 1.0)[1]), alpha=0.1) is not None


def test_conformal__weighed_by_shares_covers_a_pool_of_other_shares() -> None:
    logits, codes = _draw(4000, 1.0)
    shares = np.array([0.85, 0.05, 0.05, 0.05])
    probabilities = softmax(shift_prior(logits, shares), axis=1)
    sets = ConformalSets.fit(probabilities, codes, shares=shares)
    fresh, truth = _draw(20_000, 1.0, seed=2)
    pool = np.random.default_rng(0).random(20_000) < shares[truth] / shares.max()
    inside = sets.contains(softmax(shift_prior(fresh, shares), axis=1))[np.arange(20_000), truth]

    # More than promised: the likeliest class is always in the set.
    assert inside[pool].mean() > 0.88
    assert sets.thresholds[0] < sets.thresholds[1:].min()


def test_class_shares__are_as_counted_where_one_class_holds_nearly_all_and_even_where_chance_may_explain_it() -> None:
    skewed, even = class_shares(np.array([9, 1, 0, 0, 0, 0])), class_shares(np.array([2, 1, 3, 1, 2, 1]))

    assert skewed == pytest.approx(np.array([10, 2, 1, 1, 1, 1]) / 16, abs=0.02)
    assert abs(even - 1 / 6).max() < 0.04
    assert class_shares(np.array([80, 40, 120, 40, 80, 40])) == pytest.approx(
        np.array([2, 1, 3, 1, 2, 1]) / 10, abs=0.01
    )
    assert class_shares(np.zeros(4, int)) == pytest.approx(np.full(4, 0.25))
    assert skewed.sum() == pytest.approx(1)
    assert even.sum() == pytest.approx(1)


def test_novelty__far_is_new_and_a_labelled_cell_is_not() -> None:
    generator = np.random.default_rng(0)
    labelled = generator.normal(size=(50, 6)) * 0.1 + np.eye(6)[0]
    labelled /= np.linalg.norm(labelled, axis=1, keepdims=True)
    scores = novelty(np.vstack([labelled[:3], -np.eye(6)[0]]), labelled)

    assert scores[:3].max() == 0.0
    assert scores[3] == 1.0
    assert novelty(labelled, labelled[:1]).tolist() == [1.0] * 50


def test_bins__hold_every_cell_once_and_wilson_holds_the_share() -> None:
    confidence = np.array([0.55] * 20 + [0.95] * 40)
    probabilities = np.column_stack([confidence, 1 - confidence])
    codes = np.array([0] * 10 + [1] * 10 + [0] * 38 + [1] * 2)
    found = reliability_bins(probabilities, codes)

    assert [(b.cells, round(b.confidence, 2), b.right) for b in found] == [(20, 0.55, 0.5), (40, 0.95, 0.95)]
    # Wilson's interval of 38 of 40, from the formula worked by hand.
    assert (found[1].low, found[1].high) == pytest.approx((0.835, 0.986), abs=0.001)


def test_novelty__of_many_labelled_cells_is_estimated_from_some_and_takes_little_room(monkeypatch) -> None:
    generator = np.random.default_rng(1)
    labelled = generator.normal(size=(2500, 6))
    labelled /= np.linalg.norm(labelled, axis=1, keepdims=True)
    rows = labelled[:40] + 0.1 * generator.normal(size=(40, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    among = labelled @ labelled.T
    np.fill_diagonal(among, -np.inf)
    own, nearest = 1.0 - among.max(axis=1), 1.0 - (rows @ labelled.T).max(axis=1)
    exact = (own < nearest[:, None]).mean(axis=1)
    monkeypatch.setattr("labeling.calibration._BLOCK", 700)
    tracemalloc.start()
    found = novelty(rows, labelled)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert exact.std() > 0.1
    assert np.abs(found - exact).max() < 0.06
    assert most < among.nbytes / 4
    some = labelled[:900]
    np.fill_diagonal(among := some @ some.T, -np.inf)
    exact = (1.0 - among.max(axis=1) < (1.0 - (rows @ some.T).max(axis=1))[:, None]).mean(axis=1)
    assert np.abs(novelty(rows, some) - exact).max() <= 1 / 900, "of a thousand and fewer nothing is estimated"
