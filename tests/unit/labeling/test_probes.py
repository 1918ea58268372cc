"""The probe keeps scikit-learn's conventions and its one optimum, however it is reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from labeling import newton
from labeling.pool import PoolScale
from labeling.probes import LinearProbe


@parametrize_with_checks([LinearProbe(), LinearProbe(balanced=False, warm_start=True)])
def test_probe__keeps_the_conventions(estimator, check) -> None:
    check(estimator)


def _blobs(rows: int = 60, dim: int = 8, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    return generator.normal(size=(rows, dim)) + 2 * np.eye(dim)[y], np.array(["NILM", "LSIL", "HSIL"])[y]


@pytest.mark.parametrize(
    "given_settings",
    [{"C": 0}, {"C": -1.0}, {"C": "20"}, {"temperature": 0.0}, {"tol": np.nan}, {"max_iter": 0},
     {"mean": np.zeros(3)}, {"std": np.full(8, np.nan)}],
)  # fmt: skip
def test_fit__settings_that_make_no_sense_are_refused_by_name(given_settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(given_settings))}[=:]"):
        LinearProbe(**given_settings).fit(*_blobs())


@given(st.integers(2, 40), st.integers(3, 60), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_fit__the_gradient_vanishes_in_row_space_and_in_full(rows: int, dim: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(rows, dim)), np.append([0, 1], generator.integers(3, size=rows - 2))
    probe = LinearProbe(tol=1e-8, max_iter=5000, balanced=False).fit(x, y)
    z = (x - probe.mean_) / probe.scale_
    error = probe.predict_proba(x) - (y[:, None] == probe.classes_)

    assert np.abs(error.T @ z + probe.coef_ / probe.C).max() < 1e-4
    assert np.abs(error.sum(axis=0)).max() < 1e-4


def test_fit__of_thousands_of_rows_takes_few_products_and_ends_at_the_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    spread = 1 / np.arange(1, 65)
    y = generator.choice(4, 4500, p=[0.85, 0.1, 0.03, 0.02])
    x = (generator.normal(size=(4500, 64)) + 0.6 * generator.normal(size=(4, 64))[y]) * spread
    counted, gradient = [], newton._Space.gradient
    monkeypatch.setattr(newton._Space, "gradient", lambda *given: counted.append(1) or gradient(*given))
    probe = LinearProbe(C=200, mean=np.zeros(64), std=np.full(64, 0.1), tol=1e-6).fit(x, y)
    z = (x - probe.mean_) / probe.scale_
    weights = len(y) / (4 * np.bincount(y)[y])
    error = weights[:, None] * (probe.predict_proba(x) - (y[:, None] == probe.classes_))

    assert np.abs(error.T @ z + probe.coef_ / probe.C).max() < 1e-6 * len(y)
    assert len(counted) < 270


def test_fit__of_thousands_of_rows_that_spread_along_few_axes_takes_few_steps_however_weak_the_penalty() -> None:
    generator = np.random.default_rng(1)
    y = generator.integers(4, size=4500)
    few = generator.normal(size=(4500, 10)) + 1.5 * np.eye(10)[y]
    probe = LinearProbe(C=1e6).fit(few @ generator.normal(size=(10, 100)), y)

    assert probe.n_iter_ < 10


def test_fit__a_repeated_row_equals_a_weight_of_two() -> None:
    x, y = _blobs()
    weights = np.where(np.arange(60) < 20, 2.0, 1.0)
    scale = PoolScale.of(x)
    once = LinearProbe(mean=scale.mean, std=scale.std, tol=1e-9).fit(x, y, sample_weight=weights)
    twice = LinearProbe(mean=scale.mean, std=scale.std, tol=1e-9).fit(np.r_[x, x[:20]], np.r_[y, y[:20]])

    assert np.abs(once.predict_proba(x) - twice.predict_proba(x)).max() < 1e-4


def test_fit__a_rare_class_is_not_drowned() -> None:
    generator = np.random.default_rng(1)
    x = np.r_[generator.normal(size=(500, 4)), generator.normal(size=(5, 4)) + 2.5]
    y = np.array([0] * 500 + [1] * 5)
    fresh = generator.normal(size=(200, 4)) + 2.5

    assert LinearProbe().fit(x, y).predict(fresh).mean() > 0.8
    assert LinearProbe(balanced=False, C=2).fit(x, y).predict(fresh).mean() < 0.8


def test_warm_start__a_new_class_gives_the_same_answer_in_fewer_steps() -> None:
    x, y = _blobs(rows=300, dim=40)
    known = y != "HSIL"
    warm = LinearProbe(warm_start=True, tol=1e-7).fit(x[known], y[known]).fit(x, y)
    cold = LinearProbe(tol=1e-7).fit(x, y)
    again = warm.n_iter_
    warm.fit(x, y)

    assert np.abs(warm.predict_proba(x) - cold.predict_proba(x)).max() < 1e-3
    assert warm.n_iter_ < again


@pytest.mark.parametrize(("rows", "dim"), [(120, 40), (120, 400), (1_200, 30)])
def test_fit__ends_at_the_optimum_from_any_start_where_classes_lie_apart(rows: int, dim: int) -> None:
    x, y = _blobs(rows=rows, dim=dim)
    far = LinearProbe(warm_start=True, C=1e4).fit(3 - x, y)
    cold = LinearProbe(C=1e4, tol=1e-7).fit(x, y)
    warm = far.set_params(tol=1e-7).fit(x, y)
    again = clone(warm).fit(np.r_[x, x[:5]], np.r_[y, y[:5]], sample_weight=np.r_[np.ones(rows), np.zeros(5)])
    z = (x - cold.mean_) / cold.scale_
    error = cold.predict_proba(x) - (y[:, None] == cold.classes_)

    assert np.abs(error.T @ z + cold.coef_ / cold.C).max() < 1e-6 * rows
    assert np.abs(warm.coef_ - cold.coef_).max() < 1e-3 * np.abs(cold.coef_).max()
    assert np.array_equal(again.coef_, cold.coef_)
    assert max(cold.n_iter_, warm.n_iter_) < 60


def test_warm_start__in_row_space_begins_near_the_answer() -> None:
    x, y = _blobs(rows=150, dim=300)
    whole = LinearProbe(mean=np.zeros(300), std=np.ones(300), warm_start=True).fit(x, y)
    cold = clone(whole).fit(x[20:], y[20:])
    steps = cold.n_iter_

    assert whole.fit(x[20:], y[20:]).n_iter_ < steps
    assert np.abs(whole.predict_proba(x) - cold.predict_proba(x)).max() < 1e-3


def test_fit__equal_rows_give_equal_bits() -> None:
    x, y = _blobs(rows=50, dim=80)

    assert np.array_equal(LinearProbe().fit(x, y).coef_, LinearProbe().fit(x, y).coef_)


def test_fit__one_class_is_told() -> None:
    with pytest.raises(ValueError, match="label another class"):
        LinearProbe().fit(np.eye(3), ["NILM"] * 3)
    with pytest.raises(ValueError, match="1 class"):
        LinearProbe().fit(np.eye(3), ["NILM", "NILM", "LSIL"], sample_weight=[1, 1, 0])


def test_raw_weights__take_embeddings_as_they_are() -> None:
    x, y = _blobs()
    probe = LinearProbe().fit(x, y)
    weights, intercepts = probe.raw_weights()

    assert np.allclose(x @ weights.T + intercepts, probe.logits(x))
