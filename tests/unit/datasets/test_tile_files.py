"""Tiles on disk: the same tiles by number from an array and from shards, and shards that others can read."""

import json

import cv2
import numpy as np
import pytest
import webdataset

from datasets.errors import StoreError
from datasets.tile_files import INDEX_FILE, ArrayWriter, ShardWriter, open_tiles, read_sources
from jepa.config import RunConfig
from jepa.data import open_pack
from jepa.errors import DataError

COUNT, SIDE = 40, 64


@pytest.fixture
def pictures():
    generator = np.random.default_rng(0)
    small = generator.integers(60, 256, (COUNT, 6, 6, 3), dtype=np.uint8)
    return np.stack([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for one in small])


def fill(writer, pictures, folder) -> dict:
    for number, picture in enumerate(pictures):
        writer.add(
            picture, {"slide": f"S{number % 3}"} | ({"cell": f"C{number}"} if number % 2 else {"x": 1.5, "y": 2.0})
        )
    facts = writer.close() | {"mpp": 0.5, "hash": "h"}
    (folder / "manifest.json").write_text(json.dumps(facts))
    return facts


@pytest.fixture
def sharded(tmp_path, pictures):
    folder = tmp_path / "shards"
    folder.mkdir()
    return folder, fill(ShardWriter(folder, shard_bytes=40_000), pictures, folder)


def test_shards__give_what_the_array_gives(tmp_path, pictures, sharded):
    (tmp_path / "array").mkdir()
    facts = fill(ArrayWriter(tmp_path / "array", SIDE), pictures, tmp_path / "array")
    folder, sharded_facts = sharded
    array, shards = open_tiles(tmp_path / "array"), open_tiles(folder)
    some = np.array([39, 0, 17, 17])

    assert len(sharded_facts["shards"]) > 2
    assert shards.shape == array.shape == (COUNT, SIDE, SIDE, 3)
    assert np.array_equal(array[some], pictures[some])
    assert np.abs(shards[some].astype(int) - pictures[some]).mean() < 4  # JPEG
    assert np.array_equal(shards[17], shards[some][2])
    assert list(read_sources(folder, sharded_facts)) == list(read_sources(tmp_path / "array", facts))


# The reader leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_shards__are_read_by_webdataset(sharded):
    folder, facts = sharded
    urls = sorted(str(path) for path in folder.glob("*.tar"))
    rows = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))

    assert [row["__key__"] for row in rows] == [f"{number:09}" for number in range(facts["tiles"])]
    # Another decoder of JPEG may round differently by a step or two.
    assert np.abs(rows[5]["jpg"].astype(int) - open_tiles(folder)[5]).max() <= 3


def test_shards__the_same_tiles_give_the_same_bytes(tmp_path, pictures, sharded):
    (tmp_path / "again").mkdir()
    assert fill(ShardWriter(tmp_path / "again", shard_bytes=40_000), pictures, tmp_path / "again") == sharded[1]


def test_damage__is_told_when_a_run_opens_the_pack_or_meets_it(sharded):
    folder, _ = sharded
    config = RunConfig(image_px=SIDE, batch_size=8)
    assert open_pack(folder, config).tiles.shape[0] == COUNT

    first = sorted(folder.glob("*.tar"))[0]
    content = bytearray(first.read_bytes())
    first.write_bytes(content[:5000] + bytes(len(content) - 5000))
    with pytest.raises(StoreError, match="no JPEG"):
        open_tiles(folder)[np.arange(COUNT)]
    first.write_bytes(content[:9000])
    with pytest.raises(DataError, match="shorter than its index"):
        open_pack(folder, config)
    (folder / INDEX_FILE).write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be opened"):
        open_pack(folder, config)
