"""Every rule scores a cell by itself, in its range; queues are spread and never ask twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from labeling.acquisition import (
    DEFAULT_RULE,
    RULES,
    PoolView,
    best_rows,
    coverage,
    rarity_margin,
    representative,
    typical,
    unit_vectors,
)
from labeling.mixture import DIAL, NOVEL, RANDOM, RANKED, SHARED, TEST, UNCERTAIN, Dial, First, Shares, interleave, mix
from labeling.pool import PoolScale


def _probabilities(seed: int, rows: int, classes: int) -> np.ndarray:
    return softmax(np.random.default_rng(seed).normal(size=(rows, classes)) * 2, axis=1)


def _view(rows: int = 300, dim: int = 6, seed: int = 0) -> PoolView:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim))
    return PoolView(vectors, PoolScale.of(vectors))


@pytest.mark.parametrize("rule", RULES)
@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_rules__range_and_order_of_rows(rule: str, seed: int, classes: int, rows: int) -> None:
    probabilities, counts = _probabilities(seed, rows, classes), np.arange(classes)
    scores = RULES[rule](probabilities, counts)
    order = np.random.default_rng(seed).permutation(rows)

    assert scores.shape == (rows,)
    assert (scores >= 0).all()
    assert (scores <= 1 + 1e-9).all()
    assert np.allclose(RULES[rule](probabilities[order], counts), scores[order])


@pytest.mark.parametrize("rule", RULES)
def test_rules__unsure_comes_before_sure(rule: str) -> None:
    scores = RULES[rule](np.array([[0.98, 0.01, 0.01], [0.34, 0.33, 0.33]]), np.array([5, 5, 5]))

    assert scores[0] < scores[1]


def test_default__prefers_doubt_about_a_rare_class() -> None:
    doubt = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])

    assert DEFAULT_RULE == "rarity-margin"
    assert np.diff(rarity_margin(doubt, np.array([400, 20, 2])))[0] > 0.2


def test_rarest_margin__gives_up_more_doubt_for_a_class_with_few_labels() -> None:
    counts = np.array([40, 40, 9])
    found = np.array([[0.49, 0.51, 0.0], [0.8, 0.0, 0.2]])  # doubt between common classes, a little about the rare one

    assert np.diff(rarity_margin(found, counts))[0] < 0
    assert np.diff(RULES["rarest-margin"](found, counts))[0] > 0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 70))
@settings(max_examples=60, deadline=None)
def test_best_rows__equals_a_stable_sort(values: list[int], count: int) -> None:
    scores = np.array(values, float)

    assert best_rows(scores, count).tolist() == np.argsort(-scores, kind="stable")[:count].tolist()


def test_representative__takes_one_of_near_duplicates_and_never_a_closed_row() -> None:
    vectors = np.vstack([np.eye(4)[0] + 0.001 * np.eye(4), np.eye(4)[1:], -np.eye(4)])
    view = PoolView(vectors, PoolScale(np.zeros(4), np.ones(4)))
    scores = np.full(11, 0.5)
    scores[:4] = 1.0
    scores[10] = -1.0
    chosen = representative(scores, view, 4, np.empty((0, 4)))

    assert len(set(chosen.tolist()) & {0, 1, 2, 3}) == 1
    assert 10 not in representative(scores, view, 11, np.empty((0, 4)))


@pytest.mark.parametrize(("near_best", "first"), [(0.0, False), (0.7, True)])
def test_representative__near_the_best_a_cell_of_great_worth_comes_before_crowds_of_little(near_best, first) -> None:
    vectors = np.vstack([np.eye(11)[[10]], np.eye(11)[np.arange(600) % 10]])
    scores = np.full(601, 0.2)
    scores[0] = 1.0
    view = PoolView(vectors, PoolScale(np.zeros(11), np.ones(11)))
    chosen = representative(scores, view, 11, np.empty((0, 11)), near_best)

    assert bool(chosen[0] == 0) is first
    assert {int(row - 1) % 10 for row in chosen if row} == set(range(10))


def test_mix__what_a_rule_calls_near_the_best_holds_for_a_queue_with_an_order_too() -> None:
    vectors = np.vstack([np.eye(11)[[10]], np.eye(11)[np.arange(600) % 10]])
    scores = np.full(601, 0.2)
    scores[0] = 1.0
    view = PoolView(vectors, PoolScale(np.zeros(11), np.ones(11)))

    def first_of(near_best: float, first: First | None) -> int:
        queue = mix(view, scores, np.arange(601), np.empty((0, 11)), parts={UNCERTAIN: 1}, length=8,
                    generator=np.random.default_rng(0), first=first, near_best=near_best)  # fmt: skip
        return queue[0][0]

    for first in (None, First(on_slides=np.ones(601, bool)), First(suggested=np.arange(601) > 300)):
        assert first_of(0.7, first) == 0
        assert first_of(0.0, first) > 0


@given(st.integers(0, 10_000), st.integers(1, 120), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_representative__near_the_best_every_row_once_and_none_far_below(seed: int, rows: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    view, scores = _view(rows=rows), generator.random(rows)
    chosen = representative(scores, view, count, view.units(np.array([0])), 0.7)

    assert len(set(chosen.tolist())) == len(chosen) == min(rows, count)
    assert len(chosen) < 8 or scores[chosen[:8]].min() >= min(0.7 * scores.max(), np.sort(scores)[-32:].min())


@pytest.mark.timeout(120)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(0, 30), st.integers(1, 120))
@settings(max_examples=50, deadline=None)
def test_representative__comes_to_an_end_where_everything_is_covered(seed: int, kinds: int, known: int, rows: int):
    """Second reads at the end of a study: what is open is known, so nothing that is chosen adds anything."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(kinds, 4))
    vectors = centres[generator.integers(kinds, size=rows)]
    view = PoolView(vectors, PoolScale(np.zeros(4), np.ones(4)))
    scores = generator.random(rows)
    chosen = representative(scores, view, rows, unit_vectors(centres[:known], view.scale))

    assert sorted(chosen.tolist()) == list(range(rows))
    if known >= kinds:
        assert (np.diff(scores[chosen]) <= 0).all()


def test_coverage__goes_where_cells_are_and_labels_are_not() -> None:
    generator = np.random.default_rng(0)
    centres = np.eye(5)[:3]
    vectors = np.vstack([c + 0.05 * generator.normal(size=(40, 5)) for c in centres] + [5 * np.eye(5)[4:]])
    view = PoolView(vectors, PoolScale(np.zeros(5), np.ones(5)))
    known = unit_vectors(centres[:1], view.scale)
    chosen = coverage(view, np.arange(121), known, 2, generator)

    assert sorted(row // 40 for row in chosen) == [1, 2]


def test_typical__one_of_each_cluster_the_largest_first() -> None:
    generator = np.random.default_rng(0)
    sizes = (60, 30, 10)
    vectors = np.vstack([5 * np.eye(4)[i] + 0.1 * generator.normal(size=(n, 4)) for i, n in enumerate(sizes)])
    chosen = typical(PoolView(vectors, PoolScale(vectors.mean(axis=0), np.ones(4))), np.arange(100), 3, seed=0)

    assert [np.searchsorted(np.cumsum(sizes), row, side="right") for row in chosen] == [0, 1, 2]
    assert typical(_view(), np.array([4, 9]), 5, seed=0).tolist() == [4, 9]


@given(st.dictionaries(st.sampled_from(RANKED), st.integers(0, 60), min_size=1), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_interleave__is_within_one_of_every_share_at_every_place(parts: dict[str, int], length: int) -> None:
    order = interleave(parts, length)
    total = sum(parts.values())

    assert len(order) == (length if total else 0)
    for place in range(1, len(order) + 1):
        for arm, part in parts.items():
            assert abs(order[:place].count(arm) - place * part / total) <= len(parts) / 2 + 1e-9


@given(st.integers(0, 1000), st.integers(1, 300), st.integers(1, 120))
@settings(max_examples=25, deadline=None)
def test_mix__open_rows_only_none_twice_and_as_many_as_there_are(seed: int, num_open: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    view = _view()
    open_rows = np.sort(generator.permutation(300)[:num_open])
    queue = mix(view, generator.random(300), open_rows, view.units(np.array([0, 1])), parts=Shares().ranked(),
                length=length, generator=generator)  # fmt: skip
    rows = [row for row, _ in queue]

    assert set(rows) <= set(open_rows.tolist())
    assert len(rows) == len(set(rows)) == min(length, num_open)


def test_mix__shares_are_kept_and_chance_is_blind_to_scores() -> None:
    view, scores = _view(rows=4000), np.linspace(0, 1, 4000)
    queue = mix(view, scores, np.arange(4000), view.units(np.array([0])), parts=Shares().ranked(), length=360,
                generator=np.random.default_rng(0))  # fmt: skip
    by_arm = {arm: [row for row, a in queue if a == arm] for arm in RANKED}

    assert {arm: len(rows) for arm, rows in by_arm.items()} == {UNCERTAIN: 240, NOVEL: 40, RANDOM: 40, SHARED: 40}
    assert np.mean(by_arm[UNCERTAIN]) > 3300
    assert 1500 < np.mean(by_arm[RANDOM] + by_arm[SHARED]) < 2500


@pytest.mark.parametrize("percent", [10, 30, 60, 80])
def test_mix__dial_sets_the_share_of_probably_abnormal_cells_and_measuring_arms_keep_theirs(percent: int) -> None:
    view = _view(rows=4000)
    abnormal = np.where(np.arange(4000) % 20 == 0, 0.9, 0.1)
    scores = abnormal + np.random.default_rng(1).random(4000) / 10
    options = {"parts": Shares().ranked(), "length": 180}
    plain, dialled = (
        mix(view, scores, np.arange(4000), view.units(np.array([0])), generator=np.random.default_rng(0), dial=dial,
            **options)
        for dial in (None, Dial(percent=percent, abnormal=abnormal))
    )  # fmt: skip
    share = np.mean([abnormal[row] >= 0.5 for row, _ in dialled])

    assert share == pytest.approx(np.clip(percent / 100, 0.02, 0.70), abs=0.02)
    assert len({row for row, _ in dialled}) == 180
    assert [x for x in dialled if x[1] in (RANDOM, SHARED, NOVEL)] == [x for x in plain if x[1] != UNCERTAIN]
    changed = [after for before, after in zip(plain, dialled, strict=True) if before != after]
    assert {arm for _, arm in changed} == {DIAL}


def test_mix__test_rows_come_by_chance_and_move_no_other_choice() -> None:
    view, scores = _view(rows=2000), np.linspace(0, 1, 2000)
    parts = {**Shares().ranked(), TEST: 10}
    queues = [
        mix(view, scores, np.arange(1500), view.units(np.array([0])), parts=parts, length=100,
            generator=np.random.default_rng(0), test_rows=np.arange(1500 + gone, 2000))
        for gone in (0, 37)
    ]  # fmt: skip
    tests = [[row for row, arm in queue if arm == TEST] for queue in queues]

    assert [len(rows) for rows in tests] == [10, 10]
    assert all(row >= 1500 for rows in tests for row in rows)
    assert tests[0] != tests[1]
    assert [x for x in queues[0] if x[1] != TEST] == [x for x in queues[1] if x[1] != TEST]


def test_shares__what_makes_no_sense_is_told() -> None:
    with pytest.raises(ValueError, match="novel = -1"):
        Shares(novel=-1)
    with pytest.raises(ValueError, match="nothing is left to ask"):
        Shares(uncertain=0, novel=0, random=0, shared=0)

    assert Shares().of("uncertain") == 0.6
