"""Measures order pictures as eyes do; the same picture is found again, another is not."""

import cv2
import numpy as np
import pytest

from datasets.crops import OUTSIDE
from datasets.quality import Quality, focus, measure, outliers, picture_hash, same_pictures, sharpness
from datasets.synthetic import MPP, draw_slide


@pytest.fixture(scope="module")
def tiles() -> list[np.ndarray]:
    fields = [draw_slide(np.random.default_rng(seed)).image for seed in (1, 2)]
    return [f[y : y + 256, x : x + 256] for f in fields for y in (0, 256, 512) for x in (0, 256, 512, 768)]


def test_focus__blur_lowers_it_on_every_tile(tiles: list[np.ndarray]) -> None:
    for tile in tiles:
        steps = [cv2.GaussianBlur(tile, (0, 0), sigma) if sigma else tile for sigma in (0, 1, 2, 3)]

        assert sorted((focus(step) for step in steps), reverse=True) == [focus(step) for step in steps]
        assert sharpness(steps[0]) > sharpness(steps[1]) > sharpness(steps[3])


def test_focus__does_not_depend_on_contrast(tiles: list[np.ndarray]) -> None:
    pale = (255 - (255 - tiles[3].astype(int)) // 2).astype(np.uint8)

    assert focus(pale) == pytest.approx(focus(tiles[3]), abs=0.08)


def test_measure__exposure_stain_and_glass() -> None:
    glass = np.full((256, 256, 3), 240, np.uint8)
    stained = glass.copy()
    stained[64:192, 64:192] = (110, 90, 170)
    burnt = np.full((256, 256, 3), 255, np.uint8)

    assert measure(glass, MPP).foreground == 0
    assert measure(stained, MPP).foreground == pytest.approx(0.25, abs=0.03)
    assert measure(stained, MPP).green > measure(stained, MPP).blue > 0.1
    assert measure(burnt, MPP).overexposed == 1
    assert measure(np.zeros((64, 64, 3), np.uint8), MPP).underexposed == 1


def test_same_pictures__copies_are_found_and_others_are_not(tiles: list[np.ndarray]) -> None:
    _, jpeg = cv2.imencode(".jpg", tiles[5], [cv2.IMWRITE_JPEG_QUALITY, 70])
    small = cv2.resize(tiles[7], (180, 180), interpolation=cv2.INTER_AREA)
    pictures = [*tiles, cv2.imdecode(jpeg, cv2.IMREAD_COLOR), small]
    found = same_pictures([picture_hash(picture) for picture in pictures])

    assert {(a, b) for a, b, _ in found} == {(5, len(tiles)), (7, len(tiles) + 1)}


def test_frame_of_a_crop__makes_no_pictures_the_same_and_none_sharp(tiles: list[np.ndarray]) -> None:
    parts = [tile[:60, :40] for tile in tiles]
    framed = [np.full((256, 256, 3), OUTSIDE, np.uint8) for _ in parts]
    for frame, part in zip(framed, parts, strict=True):
        frame[90:150, 100:140] = part

    assert [picture_hash(frame) for frame in framed] == [picture_hash(part) for part in parts]
    assert [measure(frame, MPP).focus for frame in framed] == [focus(part) for part in parts]
    assert same_pictures([picture_hash(frame) for frame in framed]) == []


def test_same_pictures__agrees_with_comparing_all() -> None:
    generator = np.random.default_rng(0)
    hashes = [int(v) for v in generator.integers(0, 2**63, 300)]
    hashes += [h ^ (1 << int(generator.integers(63))) ^ (1 << int(generator.integers(63))) for h in hashes[:60]]
    slow = {(a, b) for a in range(360) for b in range(a + 1, 360) if (hashes[a] ^ hashes[b]).bit_count() <= 6}

    assert {(a, b) for a, b, _ in same_pictures(hashes)} == slow


def test_outliers__name_the_measure_and_need_a_rest() -> None:
    rows = [
        Quality(foreground=0.5 + 0.01 * i, focus=0.7, underexposed=0, overexposed=0, red=0.3, green=0.3, blue=0.2)
        for i in range(12)
    ]
    soft = Quality(foreground=0.5, focus=0.2, underexposed=0, overexposed=0, red=0.3, green=0.3, blue=0.2)
    found = outliers([*rows, soft])

    assert [(row, name) for row, name, _ in found] == [(12, "focus")]
    assert found[0][2] < -4
    assert outliers(rows[:4]) == []
