"""The embedding store commits whole shards and never half of one."""

import json

import numpy as np
import pytest

from datasets.embeddings import EmbeddingStore, current_store, set_current, store_state
from datasets.errors import StoreError


def _vectors(rows: int, dim: int = 4) -> np.ndarray:
    return np.arange(rows * dim, dtype=np.float32).reshape(rows, dim)


def test_append__is_there_after_reopening(tmp_path) -> None:
    store = EmbeddingStore(tmp_path, "f1")
    store.append(["a", "b"], _vectors(2))
    store.append(["c"], _vectors(1))
    again = EmbeddingStore(tmp_path, "f1")

    assert again.cell_ids == ["a", "b", "c"]
    assert again.vectors().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert again.missing(["c", "d", "a"]) == ["d"]
    assert again.row_of() == {"a": 0, "b": 1, "c": 2}
    again.append(["d"], _vectors(1))
    assert again.row_of()["d"] == 3
    assert EmbeddingStore(tmp_path, "f2").cell_ids == []


def test_append__array_without_index_is_as_if_never_written(tmp_path) -> None:
    store = EmbeddingStore(tmp_path, "f1")
    store.append(["a"], _vectors(1))
    np.save(tmp_path / "f1" / "shard-00001.npy", np.zeros((9, 4), np.float16))

    again = EmbeddingStore(tmp_path, "f1")
    again.append(["b"], _vectors(1))

    assert EmbeddingStore(tmp_path, "f1").cell_ids == ["a", "b"]


@pytest.mark.parametrize(
    ("ids", "vectors"),
    [
        (["a"], _vectors(2)),
        (["b"], _vectors(1, 5)),
        (["a"], _vectors(1)),
        (["b", "b"], _vectors(2)),
        (["b"], np.full((1, 4), np.nan, np.float32)),
        (["b"], np.full((1, 4), 1e9, np.float32)),
    ],
    ids=["count", "dim", "known", "twice", "nan", "too large for float16"],
)
def test_append__refuses_what_does_not_fit(tmp_path, ids, vectors) -> None:
    store = EmbeddingStore(tmp_path, "f1")
    store.append(["a"], _vectors(1))

    with pytest.raises(StoreError):
        store.append(ids, vectors)
    assert EmbeddingStore(tmp_path, "f1").cell_ids == ["a"]


def test_open__damaged_shard_is_told(tmp_path) -> None:
    EmbeddingStore(tmp_path, "f1").append(["a"], _vectors(1))
    index = tmp_path / "f1" / "shard-00000.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "cells": ["a", "b"]}))

    with pytest.raises(StoreError, match="embed again"):
        EmbeddingStore(tmp_path, "f1")


def test_current_store__follows_the_newest_choice(tmp_path) -> None:
    assert current_store(tmp_path) is None
    EmbeddingStore(tmp_path, "f2").append(["a"], _vectors(1))
    set_current(tmp_path, "f2")

    assert current_store(tmp_path).cell_ids == ["a"]


def test_store_state__changes_with_every_shard_and_every_choice(tmp_path) -> None:
    seen = [store_state(tmp_path)]
    store = EmbeddingStore(tmp_path, "f2")
    for name in ("a", "b"):
        store.append([name], _vectors(1))
        set_current(tmp_path, "f2")
        seen.append(store_state(tmp_path))
    set_current(tmp_path, "f3")

    assert seen == [None, ("f2", 1), ("f2", 2)]
    assert store_state(tmp_path) == ("f3", 0)
