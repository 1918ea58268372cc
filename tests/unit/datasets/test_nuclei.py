"""The detector finds what was drawn, keeps its hands off empty glass, and measures in micrometres."""

import tracemalloc

import cv2
import numpy as np
import pytest

from datasets.detection import uncovered
from datasets.nuclei import find_nuclei, most_nuclei, white_point
from datasets.synthetic import MPP, draw_slide


def _field(disks: list[tuple[int, int, int]], side: int = 600) -> np.ndarray:
    field = np.full((side, side, 3), 240, np.uint8)
    for x, y, radius in disks:
        cv2.circle(field, (x, y), radius, (90, 60, 120), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(field, (0, 0), 1.5)


def _distances_um(found: np.ndarray, points: list[tuple[float, float]], mpp: float) -> np.ndarray:
    return np.linalg.norm(np.asarray(points)[:, None] - found[None], axis=2).min(axis=1) * mpp


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_find_nuclei__drawn_cells(seed: int) -> None:
    slide = draw_slide(np.random.default_rng(seed))
    found = find_nuclei(slide.image, slide.mpp)
    near = _distances_um(found.centers_px, [(cell.x, cell.y) for cell in slide.cells], MPP)

    assert (near <= 4.5).mean() >= 0.97
    assert len(found) < 4 * len(slide.cells)


def test_find_nuclei__empty_glass_and_uniform_stain_hold_none() -> None:
    noise = np.random.default_rng(0).normal(0, 2, (400, 400, 3))

    assert len(find_nuclei(np.clip(240 + noise, 0, 255).astype(np.uint8), 0.25)) == 0
    assert len(find_nuclei(np.clip(150 + noise, 0, 255).astype(np.uint8), 0.25, white=np.full(3, 240.0))) == 0


def test_find_nuclei__touching_nuclei_come_apart() -> None:
    found = find_nuclei(_field([(280, 300, 16), (312, 300, 16)]), 0.25)

    assert len(found) == 2
    assert _distances_um(found.centers_px, [(280, 300), (312, 300)], 0.25).max() < 1.5


@pytest.mark.parametrize("mpp", [0.125, 0.25, 0.5])
def test_find_nuclei__boxes_are_micrometres_at_every_scale(mpp: float) -> None:
    radius = round(4 / mpp)
    side = round(150 / mpp)
    found = find_nuclei(_field([(side // 2, side // 3, radius)], side), mpp)
    left, top, width, height = found.boxes_um[0]

    assert len(found) == 1
    assert (width, height) == pytest.approx((8, 8), abs=1.6)
    assert (left + width / 2, top + height / 2) == pytest.approx((side // 2 * mpp, side // 3 * mpp), abs=1)


def test_find_nuclei__the_surest_first_and_overlap_is_told() -> None:
    field = _field([(150, 150, 16), (285, 300, 16), (312, 300, 16)])
    field[430:470, 430:470] = 205
    found = find_nuclei(field, 0.25)

    assert (np.diff(found.confidence) <= 0).all()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    alone = np.linalg.norm(found.centers_px - (150, 150), axis=1).argmin()
    assert found.overlap[alone] == 0
    assert found.overlap.max() > 0


def test_find_nuclei__orange_cytoplasm_is_no_nucleus() -> None:
    field = np.full((400, 400, 3), 240, np.uint8)
    cv2.circle(field, (200, 200), 20, (235, 150, 60), -1, cv2.LINE_AA)

    assert len(find_nuclei(field, 0.25)) == 0


def test_white_point__is_the_glass_not_the_paint_outside() -> None:
    field = np.full((200, 200, 3), (232, 232, 234), np.uint8)
    field[:100] = (250, 246, 240)

    assert white_point(field).tolist() == [250, 246, 240]


def test_find_nuclei__noise_is_bounded_in_count_and_memory() -> None:
    # All distances between the 43,000 spots of such a tile took 28 GB.
    noise = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), np.uint8)
    tracemalloc.start()
    found = find_nuclei(noise, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert 1000 < len(found) <= most_nuclei(noise, 1.0)
    assert (np.diff(found.confidence) <= 0).all()
    assert peak < 1 << 30


def test_uncovered__asks_only_around_each_square() -> None:
    stain = np.full((512, 512, 3), (150, 90, 160), np.uint8)
    far = np.random.default_rng(0).uniform(600, 1e6, (20_000, 2))

    assert np.array_equal(uncovered(stain, 0.5, far), uncovered(stain, 0.5, np.empty((0, 2))))
    assert len(uncovered(stain, 0.5, np.array([[256.0, 256.0]]))) == len(uncovered(stain, 0.5, far)) - 1
