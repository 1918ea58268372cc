"""What a page says about a cell, and the map."""

import numpy as np
import pytest

from app.api.cells import asked_because
from app.cell_map import project, read_map, update_map
from datasets.bethesda import BETHESDA
from datasets.embeddings import EmbeddingStore


@pytest.mark.parametrize("reason", ["ASC-H or HSIL is unclear", "NILM or not-a-cell is unclear"])
def test_reason__before_the_answer_names_no_category(reason: str) -> None:
    said = asked_because(reason, BETHESDA, is_blind=True)

    assert not any(category.name in said or category.id in said for category in BETHESDA.categories)


def test_reason__after_the_answer_names_them_in_words() -> None:
    assert asked_because("not-a-cell or ASC-H is unclear", BETHESDA, is_blind=False) == "Not a cell or ASC-H is unclear"
    assert (
        asked_because("unlike the cells labelled so far", BETHESDA, is_blind=True) == "unlike the cells labelled so far"
    )


def test_map__separates_what_differs_and_is_computed_once(tmp_path) -> None:
    generator = np.random.default_rng(0)
    vectors = np.concatenate([generator.normal(0, 1, (60, 16)), generator.normal(8, 1, (60, 16))])
    store = EmbeddingStore(tmp_path / "embeddings", "f")
    store.append([f"c{n}" for n in range(120)], vectors)
    points = project(store).astype(np.int64)

    assert abs(points[:60, 0].mean() - points[60:, 0].mean()) > 30_000
    assert [update_map(tmp_path, store), update_map(tmp_path, store)] == [True, False]
    stored = read_map(tmp_path, store)
    assert stored is not None
    assert np.array_equal(stored, project(store))
    store.append(["late"], vectors[:1])
    assert read_map(tmp_path, store) is None
