"""Figures of agreement equal published tables and other people's programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from labeling.agreement import (
    MISSING,
    Alpha,
    Figure,
    Fleiss,
    Kappas,
    bethesda_weights,
    category_penalty,
    cut_penalty,
    equally_read,
    ratings_table,
    total,
)
from labeling.intervals import with_intervals

# Fleiss 1971 as worked out in most textbooks: 10 subjects, 14 raters, 5 categories.
FLEISS = np.array([
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
])  # fmt: skip
# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: 4 observers, 12 units, 5 values.
_DOT = MISSING
KRIPPENDORFF = np.array([
    [0, 1, 2, 2, 1, 0, 3, 0, 1, _DOT, _DOT, _DOT], [0, 1, 2, 2, 1, 1, 3, 0, 1, 4, _DOT, 2],
    [_DOT, 2, 2, 2, 1, 2, 3, 1, 1, 4, 0, _DOT], [0, 1, 2, 2, 1, 3, 3, 0, 1, 4, 0, _DOT],
])  # fmt: skip


def _plain(classes: int) -> Kappas:
    return Kappas(classes, 1.0 - np.eye(classes)[None])


def _value(figure: Figure, ratings: np.ndarray) -> float:
    return float(figure.of(total(figure.sums(ratings)))[0, 0])


def _cohen(first: np.ndarray, second: np.ndarray, classes: int, penalties: np.ndarray | None = None) -> float:
    figure = _plain(classes) if penalties is None else Kappas(classes, penalties[None])
    return _value(figure, np.stack([first, second]))


def test_fleiss__the_published_table() -> None:
    ratings = np.stack([np.repeat(np.arange(5), row) for row in FLEISS], axis=1)

    assert _value(Fleiss(5), ratings) == pytest.approx(0.210, abs=5e-4)


def test_krippendorff__the_published_table() -> None:
    steps = np.subtract.outer(np.arange(5), np.arange(5)).astype(float)

    assert _value(Alpha(5), KRIPPENDORFF) == pytest.approx(0.743, abs=5e-4)
    assert _value(Alpha(5, steps**2), KRIPPENDORFF) == pytest.approx(0.849, abs=5e-4)


def test_cohen__two_readers_by_hand() -> None:
    first = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    second = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])

    assert _cohen(first, second, 2) == pytest.approx(0.4)


@given(st.integers(2, 8), st.integers(2, 60), st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_cohen__equals_scikit_learn(classes: int, cells: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    first = generator.integers(classes, size=cells)
    second = np.where(generator.random(cells) < 0.6, first, generator.integers(classes, size=cells))
    if len(set(first) | set(second)) < 2:
        return
    names = np.arange(classes)
    for weights, name in ((None, None), (bethesda_weights(classes), "quadratic")):
        expected = cohen_kappa_score(first, second, labels=names, weights=name)
        assert _cohen(first, second, classes, weights) == pytest.approx(expected, abs=1e-9)


def test_bethesda_weights__a_neighbour_costs_little() -> None:
    penalties = bethesda_weights(6)

    assert penalties[0, 1] == pytest.approx(0.04)
    assert penalties[0, 5] == 1.0
    first = np.array([0, 1, 2, 3, 4, 5] * 5)
    assert _cohen(first, np.clip(first + 1, 0, 5), 6, penalties) > 0.8
    assert _cohen(first, np.clip(first + 1, 0, 5), 6) < 0.1


def test_undefined__is_told_as_that() -> None:
    same, apart = np.zeros((2, 5), np.intp), np.array([[0, MISSING], [MISSING, 1]])
    for figure in (_plain(3), Alpha(3), Fleiss(3)):
        for ratings in (same, same[:, :0], equally_read(apart)):
            assert np.isnan(_value(figure, ratings)), figure
    assert np.isnan(_value(Alpha(2), apart))
    assert with_intervals(apart, _plain(2))[0].value is None


def test_equally_read__takes_the_usual_number_of_answers() -> None:
    ratings = np.array([[0, 1, 1, 0], [0, 1, MISSING, 1], [MISSING, MISSING, MISSING, 1]])

    assert equally_read(ratings).tolist() == [[0, 1], [0, 1], [MISSING, MISSING]]
    assert equally_read(ratings[:, 2:3]).shape == (3, 0)


def test_interval__holds_the_value_and_counts_the_pairs() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(4, size=200)
    ratings = np.where(generator.random((3, 200)) < 0.7, truth, generator.integers(4, size=(3, 200)))
    ratings[2, 50:] = MISSING
    found = with_intervals(ratings, _plain(4), draws=200)[0]

    assert (found.cells, found.pairs) == (200, 150 + 3 * 50)
    assert found.low < found.value < found.high
    assert 0.05 < found.high - found.low < 0.25
    assert with_intervals(ratings, _plain(4), draws=200)[0] == found


def test_interval__of_many_pairs_with_few_cells_each_holds_the_truth() -> None:
    generator = np.random.default_rng(1)
    truth = (generator.random(1200) < 0.05).astype(np.intp)
    ratings = np.full((12, 1200), MISSING)
    for cell in range(1200):
        readers = generator.choice(12, 2, replace=False)
        ratings[readers, cell] = np.where(generator.random(2) < 0.97, truth[cell], 1 - truth[cell])
    found = with_intervals(ratings, _plain(2))[0]

    by_chance = 0.077**2 + 0.923**2
    assert found.low < (0.97**2 + 0.03**2 - by_chance) / (1 - by_chance) < found.high


def test_interval__is_that_of_the_same_draws_one_by_one() -> None:
    generator = np.random.default_rng(2)
    truth, other = generator.integers(3, size=40), generator.integers(3, size=(3, 40))
    ratings = np.where(generator.random((3, 40)) < 0.6, truth, other)
    ratings[0, :9] = MISSING
    for figure in (_plain(3), Alpha(3)):
        found = with_intervals(ratings, figure, draws=50)[0]
        places = np.random.default_rng(0).integers(40, size=(50, 40))

        assert np.quantile([_value(figure, ratings[:, row]) for row in places], [0.025, 0.975]) == pytest.approx(
            [found.low, found.high]
        )


def test_categories_and_cuts__the_confused_pair_is_found() -> None:
    truth = np.repeat([0, 1, 2, 3], 50)
    other = truth.copy()
    other[50:150] = np.random.default_rng(0).permutation(other[50:150])
    ratings = np.vstack([truth, other])
    by_category = [_value(Kappas(4, category_penalty(4, c)[None]), ratings) for c in range(4)]
    by_cut = [_value(Kappas(4, cut_penalty(4, c)[None]), ratings) for c in range(1, 4)]

    assert by_category[0] == by_category[3] == by_cut[0] == by_cut[2] == 1.0
    assert max(by_category[1], by_category[2], by_cut[1]) < 0.6


def test_table__cannot_tell_is_no_category() -> None:
    answers = [("c2", "ben", "LSIL"), ("c1", "ada", "NILM"), ("c1", "ben", "cannot-tell")]
    ratings, doctors, cells = ratings_table(answers, ("NILM", "LSIL"))

    assert (ratings.tolist(), doctors, cells) == ([[0, MISSING], [MISSING, 1]], ["ada", "ben"], ["c1", "c2"])
