"""More like this and near-duplicates: the index finds what comparing everything finds, and follows a growing pool."""

from pathlib import Path

import numpy as np
import pytest

from labeling import neighbours
from labeling.acquisition import unit_vectors
from labeling.neighbours import more_like, near_duplicates, open_index, strangers, update_index
from labeling.pool import PoolScale

ROWS, DIM = 4000, 24


def _pool(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(30, DIM)) * 2
    return (generator.normal(size=(rows, DIM)) + centres[generator.integers(30, size=rows)]).astype(np.float16)


def _exact(pool: np.ndarray, row: int, count: int, scale: PoolScale) -> list[int]:
    units = unit_vectors(pool, scale)
    return np.argsort(-(units @ units[row]), kind="stable")[:count].tolist()


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "EXACT_ROWS", 1000)
    monkeypatch.setattr(neighbours, "_LIST_ROWS", 200)


def test_more_like__small_pool_is_compared_as_a_whole(tmp_path: Path) -> None:
    pool = _pool(500)

    assert not update_index(tmp_path / "index", pool)
    assert more_like(tmp_path / "index", pool, 7, 20).tolist() == _exact(pool, 7, 20, PoolScale.of(pool))


@pytest.mark.usefixtures("small_is_large")
def test_more_like__index_finds_what_comparing_all_finds(tmp_path: Path) -> None:
    pool, folder = _pool(), tmp_path / "index"
    assert update_index(folder, pool)
    found = [more_like(folder, pool, row, 30).tolist() for row in range(0, ROWS, 200)]
    exact = [_exact(pool, row, 30, PoolScale.of(pool)) for row in range(0, ROWS, 200)]

    assert all(rows[0] == row for rows, row in zip(found, range(0, ROWS, 200), strict=True))
    assert np.mean([len(set(a) & set(b)) / 30 for a, b in zip(found, exact, strict=True)]) > 0.95
    assert not update_index(folder, pool)


@pytest.mark.usefixtures("small_is_large")
def test_update__newer_rows_are_found_before_and_after_they_are_in_the_index(tmp_path: Path) -> None:
    pool, folder = _pool(), tmp_path / "index"
    update_index(folder, pool[:3900])
    pool[3950] = pool[5]
    before = more_like(folder, pool, 5, 5).tolist()
    assert open_index(folder).rows == 3900
    assert update_index(folder, pool)

    assert open_index(folder).rows == ROWS
    assert 3950 in before[:2]
    assert 3950 in more_like(folder, pool, 5, 5).tolist()[:2]
    assert len(list(folder.iterdir())) == 2


@pytest.mark.usefixtures("small_is_large")
def test_update__a_pool_that_has_grown_a_lot_gets_new_lists(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update_index(folder, _pool(1100))
    update_index(folder, _pool(4500))

    assert [path.name for path in sorted(folder.iterdir())] == ["4500.faiss", "4500.npy"]


@pytest.mark.parametrize("is_large", [False, True])
def test_near_duplicates__finds_the_copies(is_large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_large:
        monkeypatch.setattr(neighbours, "EXACT_ROWS", 1000)
        monkeypatch.setattr(neighbours, "_LIST_ROWS", 200)
    pool = _pool(3000)
    copies = {(row, row + 2000) for row in range(0, 900, 30)}
    for first, second in copies:
        pool[second] = pool[first] * 1.001
    found = {(a, b) for a, b, _ in near_duplicates(pool)}

    assert copies <= found
    assert len(found) < len(copies) + 5


@pytest.mark.parametrize("usual", [True, False], ids=["as a whole", "in groups"])
def test_strangers__are_those_put_there_also_when_one_is_there_twice(usual: bool, monkeypatch) -> None:
    if not usual:
        monkeypatch.setattr(neighbours, "EXACT_ROWS", 1000)
        monkeypatch.setattr(neighbours, "_LIST_ROWS", 200)
    pool, generator = _pool(2000).astype(np.float32), np.random.default_rng(5)
    pool[[3, 50, 700]] = 12 * generator.normal(size=(3, DIM))
    pool[51] = pool[50] * 1.001

    assert {row for row, _ in strangers(pool)[:4]} == {3, 50, 51, 700}


def test_strangers__of_a_few_rows_are_none() -> None:
    assert strangers(_pool(11)) == []
