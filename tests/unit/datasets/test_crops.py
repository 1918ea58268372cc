"""Crops have one physical scale."""

import numpy as np
import pytest

from datasets.crops import OUTSIDE, cut_crop, encode_png, read_own_png


@pytest.mark.parametrize("mpp", [0.125, 0.25, 0.5])
def test_cut_crop__same_micrometres_whatever_the_scan(picture: np.ndarray, mpp: float) -> None:
    crop = cut_crop(picture, 200, 150, mpp=mpp, side_um=30, side_px=120)
    dark_um2 = (crop[..., 0] < 160).sum() * 0.25**2

    assert crop.shape == (120, 120, 3)
    assert dark_um2 == pytest.approx(np.pi * (30 * mpp) ** 2, rel=0.03)


def test_cut_crop__unknown_scale_keeps_source_pixels(picture: np.ndarray) -> None:
    crop = cut_crop(picture, 200, 150, mpp=None, side_um=30, side_px=120)

    assert np.array_equal(crop, picture[90:210, 140:260])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (399.9, 299.9), (5, 290)])
def test_cut_crop__beyond_the_edge_is_neutral_grey(picture: np.ndarray, x: float, y: float) -> None:
    crop = cut_crop(picture, x, y, mpp=0.25, side_um=32, side_px=128)
    outside = (crop == OUTSIDE).all(axis=2)

    assert crop.shape == (128, 128, 3)
    assert 0.2 < outside.mean() < 0.8


def test_cut_crop__far_outside_is_all_grey(picture: np.ndarray) -> None:
    crop = cut_crop(picture, -500, 900, mpp=0.25, side_um=32, side_px=128)

    assert (crop == OUTSIDE).all()


def test_png__round_trip_is_lossless_and_has_no_text(tmp_path, picture: np.ndarray) -> None:
    path = tmp_path / "crop.png"
    path.write_bytes(encode_png(picture))

    assert np.array_equal(read_own_png(path), picture)
    assert not any(chunk in path.read_bytes() for chunk in (b"tEXt", b"iTXt", b"eXIf", b"tIME"))
