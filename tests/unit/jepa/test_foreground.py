import numpy as np
import pytest

from datasets.detection import foreground_mask
from jepa.data import tile_chances
from jepa.errors import MaskError
from jepa.foreground import patch_shares, sample_foreground_masks
from jepa.masking import MaskConfig, mask_lengths

GRID = (14, 14)
CONFIG = MaskConfig()
LENGTHS = mask_lengths(GRID, CONFIG)[0]


def _seeds(count, start=0):
    return [[0, 1, start + row] for row in range(count)]


@pytest.fixture
def half():
    """Sixteen grids whose left half is stained."""
    shares = np.zeros((16, *GRID), np.float32)
    shares[:, :, :7] = 1
    return shares.reshape(16, -1)


def test_patch_shares__dark_patches():
    picture = np.full((112, 112, 3), 240, np.uint8)
    picture[:56, :56] = (120, 60, 130)
    shares = patch_shares(picture[None], GRID, 0.5)[0].reshape(GRID)

    assert shares[:6, :6].min() > 0.9
    assert shares[8:].max() < 0.05
    assert foreground_mask(picture, 0.5).mean() == pytest.approx(0.25, abs=0.02)


def test_targets__lie_on_the_foreground(half):
    masks = sample_foreground_masks(GRID, CONFIG, LENGTHS, half, 0.9, _seeds(16))
    share = half[np.arange(16)[None, :, None], masks.targets].mean(axis=2)

    assert masks.targets.shape == (4, 16, LENGTHS[1])
    assert share.min() >= 0.85
    plain = sample_foreground_masks(GRID, CONFIG, LENGTHS, np.ones_like(half), 0.9, _seeds(16))
    assert half[np.arange(16)[None, :, None], plain.targets].mean() == pytest.approx(0.5, abs=0.1)


def test_targets__empty_glass_takes_the_best_place():
    one = np.zeros((1, *GRID), np.float32)
    one[0, 3, 3] = 1
    masks = sample_foreground_masks(GRID, CONFIG, LENGTHS, one.reshape(1, -1), 0.5, _seeds(1))

    assert masks.context.shape == (1, LENGTHS[0])


def test_masks__context_and_targets_are_apart(half):
    masks = sample_foreground_masks(GRID, CONFIG, LENGTHS, half, 0.5, _seeds(16))
    for row in range(16):
        assert not set(masks.context[row]) & set(masks.targets[:, row].ravel())


def test_masks__a_picture_keeps_its_masks_in_any_company(half):
    """Two processes with eight rows each draw what one draws for sixteen."""
    whole = sample_foreground_masks(GRID, CONFIG, LENGTHS, half, 0.5, _seeds(16))
    part = sample_foreground_masks(GRID, CONFIG, LENGTHS, half[8:], 0.5, _seeds(8, start=8))

    assert np.array_equal(whole.context[8:], part.context)
    assert np.array_equal(whole.targets[:, 8:], part.targets)


def test_masks__impossible_context():
    with pytest.raises(MaskError, match="fewer than 190 patches for the context"):
        sample_foreground_masks(GRID, CONFIG, (190, 20), np.ones((1, 196), np.float32), 0.5, _seeds(1))


def test_tile_chances__from_alike_to_proportional():
    shares = np.array([0.0, 0.5, 1.0])

    assert np.allclose(tile_chances(shares, 0.0), 1 / 3)
    assert tile_chances(shares, 1.0) == pytest.approx(np.array([0.02, 0.51, 1.0]) / 1.53)
    assert tile_chances(shares, 0.5).sum() == pytest.approx(1)
