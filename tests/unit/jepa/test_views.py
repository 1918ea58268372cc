"""Cuts of tiles: the gather on the device against numpy's own turns, and sampled cuts against a resize."""

import cv2
import numpy as np
import pytest
import torch

from jepa.config import RunConfig
from jepa.views import Views, cut, draw_cuts, has_scaled_cuts

TILE, SIDE = 73, 64


@pytest.fixture
def tiles() -> torch.Tensor:
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (16, 12, 12, 3), dtype=np.uint8)
    return torch.from_numpy(np.stack([cv2.resize(one, (TILE, TILE), interpolation=cv2.INTER_CUBIC) for one in small]))


def plainly(tile: np.ndarray, place: list[int]) -> np.ndarray:
    top, left, height, width, turn = place
    picture = tile[top : top + height, left : left + width]
    if (height, width) != (SIDE, SIDE):
        picture = cv2.resize(np.ascontiguousarray(picture), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.rot90(picture[:, ::-1] if turn >= 4 else picture, turn % 4)


def test_cut__gives_the_tiles_own_bytes_in_all_eight_views(tiles):
    config = RunConfig(image_px=SIDE)
    cuts = draw_cuts(16, TILE, config, np.random.default_rng(1))
    cuts[:, 4] = np.arange(16) % 8

    pictures = cut(tiles, torch.from_numpy(cuts), SIDE, is_scaled=has_scaled_cuts(config))

    wanted = np.stack([plainly(tile, place) for tile, place in zip(tiles.numpy(), cuts.tolist(), strict=True)])
    assert pictures.dtype == torch.uint8
    np.testing.assert_array_equal(pictures.numpy(), wanted)


@pytest.mark.parametrize("options", [{"scale_jitter": 0.1}, {"crop_scale": (0.3, 1.0)}])
def test_cut__of_another_scale_is_a_bilinear_resize(tiles, options):
    config = RunConfig(image_px=SIDE, **options)
    cuts = draw_cuts(16, TILE, config, np.random.default_rng(1))

    pictures = cut(tiles, torch.from_numpy(cuts), SIDE, is_scaled=has_scaled_cuts(config)).numpy()

    wanted = np.stack([plainly(tile, place) for tile, place in zip(tiles.numpy(), cuts.tolist(), strict=True)])
    assert has_scaled_cuts(config)
    # At a cut's edge a sample may take the tile's next pixel, where the resize repeats its own.
    inside = np.abs(pictures - wanted)[:, 2:-2, 2:-2]
    assert inside.mean() < 0.5
    assert inside.max() < 4


def test_views__all_first_ones_then_all_second_ones(tiles):
    config = RunConfig(image_px=SIDE, invariance=0.1, stain_jitter=0.1)
    chance = np.random.default_rng(2)
    cuts = np.stack([draw_cuts(16, TILE, config, chance) for _ in range(2)])
    density = torch.ones(2, 16, 3)
    density[1] = 1.1
    views = Views(tiles, torch.from_numpy(cuts), density)

    pictures = views.finish(config, torch.device("cpu"))

    alone = Views(tiles, torch.from_numpy(cuts[:1]), density[:1]).finish(config, torch.device("cpu"))
    assert pictures.shape == (32, 3, SIDE, SIDE)
    assert torch.equal(pictures[:16], alone)
    assert pictures[16:].mean() < pictures[:16].mean()  # denser stain is darker
    np.testing.assert_array_equal(views.first_pictures(config)[0], plainly(tiles[0].numpy(), cuts[0, 0].tolist()))
