"""The handcrafted measures are finite, repeatable, and see what a cytologist looks at."""

import numpy as np
import pytest

from datasets.crops import OUTSIDE
from jepa.embed import FusedEncoder
from jepa.handcrafted import SIDE_PX, HandcraftedEncoder, measure


def _cell(nucleus_px: int = 14, darkness: int = 60, side: int = SIDE_PX) -> np.ndarray:
    """A pale round cell with a dark nucleus on bright ground."""
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    distance = np.hypot(rows, columns)
    picture = np.full((side, side, 3), 235, np.uint8)
    picture[distance < 40] = (170, 190, 215)
    picture[distance < nucleus_px] = (darkness, darkness, darkness + 40)
    grain = np.random.default_rng(0).integers(-6, 7, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


_NUCLEUS = slice(144 + 30 + 32, 144 + 30 + 32 + 11)


def test_measure__223_finite_numbers_also_of_nothing() -> None:
    flat = np.full((SIDE_PX, SIDE_PX, 3), 200, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    for picture in (_cell(), flat, np.zeros_like(flat), noise):
        found = measure(picture)
        assert found.shape == (HandcraftedEncoder.dim,)
        assert np.isfinite(found).all()
        assert np.abs(found).max() < 1000

    assert measure(flat)[_NUCLEUS].tolist() == [0.0] * 11


@pytest.mark.parametrize(("radius", "expected"), [(8, np.log(np.pi * 64)), (20, np.log(np.pi * 400))])
def test_nucleus__area_and_roundness(radius: int, expected: float) -> None:
    log_area, eccentricity, solidity, *_ = measure(_cell(radius))[_NUCLEUS]

    assert log_area == pytest.approx(expected, abs=0.1)
    assert eccentricity < 0.3
    assert solidity > 0.9


def test_nucleus__darker_chromatin_is_seen() -> None:
    pale, dark = (measure(_cell(darkness=value))[_NUCLEUS][5] for value in (120, 30))

    assert dark < pale - 0.2


def test_prepare__what_lies_outside_the_picture_does_not_count() -> None:
    encoder = HandcraftedEncoder()
    padded = np.full((256, 256, 3), OUTSIDE, np.uint8)
    padded[80:176, 80:176] = _cell()

    assert np.array_equal(encoder.prepare(padded, 0.25), _cell())
    assert encoder.prepare(np.full((256, 256, 3), OUTSIDE, np.uint8), None).shape == (SIDE_PX, SIDE_PX, 3)


def test_embed__equal_pictures_give_equal_numbers_and_one_name() -> None:
    encoder = HandcraftedEncoder()
    found = encoder.embed(np.stack([_cell(), _cell(8), _cell()]))

    assert found.dtype == np.float32
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])
    assert encoder.fingerprint == HandcraftedEncoder().fingerprint
    assert np.isfinite(found.astype(np.float16)).all()


def test_fused__vectors_stand_behind_each_other() -> None:
    one = HandcraftedEncoder()
    fused = FusedEncoder([one, one])
    crop = _cell(side=256)
    found = fused.embed(np.stack([fused.prepare(crop, 0.25)]))
    alone = one.embed(np.stack([one.prepare(crop, 0.25)]))

    assert (fused.dim, fused.fingerprint == one.fingerprint) == (446, False)
    assert np.array_equal(found, np.concatenate([alone, alone], axis=1))
