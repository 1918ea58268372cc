"""Tiles: together they are the slide, at every level; what is kept stays within its bytes."""

import numpy as np
import pytest

from app.tiles import TILE_PX, TileCache, TileGrid, cut_tile
from datasets.pictures import FieldPicture


@pytest.fixture
def gradient() -> np.ndarray:
    rows, columns = np.mgrid[:1100, :1500]
    return np.stack([columns % 251, rows % 241, (rows + columns) % 239], axis=2).astype(np.uint8)


def _whole_level(picture: np.ndarray, grid: TileGrid, level: int) -> np.ndarray:
    field, rows = FieldPicture(picture), []
    row = 0
    while grid.box(level, 0, row):
        line, column = [], 0
        while grid.box(level, column, row):
            line.append(cut_tile(field, grid, level, column, row, mpp=None))
            column += 1
        rows.append(np.hstack(line))
        row += 1
    return np.vstack(rows)


def test_tiles_of_the_finest_level__are_the_picture(gradient) -> None:
    grid = TileGrid(width_px=1500, height_px=1100)

    assert (_whole_level(gradient, grid, grid.finest) == gradient).all()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_tiles_of_a_coarse_level__cover_all_of_it_once(gradient, steps: int) -> None:
    grid = TileGrid(width_px=1500, height_px=1100)
    level = grid.finest - steps
    joined = _whole_level(gradient, grid, level)

    assert joined.shape == (
        int(np.ceil(1100 / 2**steps)), int(np.ceil(1500 / 2**steps)), 3,
    )  # fmt: skip


def test_place_of_a_dark_spot__is_the_same_at_every_level() -> None:
    picture = np.full((2000, 3000, 3), 240, np.uint8)
    picture[1480:1520, 2280:2320] = 10
    grid = TileGrid(width_px=3000, height_px=2000)
    for level in range(grid.finest - 3, grid.finest + 1):
        found = np.argwhere(_whole_level(picture, grid, level)[..., 0] < 100).mean(axis=0)
        scale = 2 ** (grid.finest - level)
        assert (found + 0.5) * scale == pytest.approx((1500, 2300), abs=scale)


@pytest.mark.parametrize("place", [(-1, 0, 0), (12, 0, 0), (11, -1, 0), (11, 3, 0), (11, 0, 3)])
def test_tile_that_is_not_there__is_none(gradient, place: tuple[int, int, int]) -> None:
    grid = TileGrid(width_px=1500, height_px=1100)

    assert grid.finest == 11
    assert cut_tile(FieldPicture(gradient), grid, *place, mpp=None) is None


def test_slide_without_small_levels__offers_no_tile_made_of_more_than_4096_pixels() -> None:
    grid = TileGrid(width_px=100_000, height_px=80_000)

    assert TILE_PX << (grid.finest - grid.coarsest) == 4096
    assert TileGrid(width_px=100_000, height_px=80_000, coarsest_downsample=64.0).coarsest == grid.coarsest - 6


def test_cache__forgets_what_was_used_longest_ago() -> None:
    cache = TileCache(most_bytes=10)
    cache.put(("a",), b"1234")
    cache.put(("b",), b"1234")
    assert cache.get(("a",)) == b"1234"
    cache.put(("c",), b"1234")

    assert cache.get(("b",)) is None
    assert cache.get(("a",)) == cache.get(("c",)) == b"1234"
    assert len(cache) == 2
