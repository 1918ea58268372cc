"""Odd slides: the search ends soon, and says why it found nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from app.intake import take_in
from app.services import Services
from datasets import catalog
from datasets.catalog import Search
from datasets.db import utc_now
from datasets.detection import looks_like_noise
from datasets.errors import UnreadableFile
from datasets.finding import find_cells
from datasets.notices import NOISY_TILES
from datasets.public import plan
from datasets.search_report import FindOptions
from datasets.search_tiles import tiles_of
from datasets.synthetic import draw_slide
from tests.slide_files import write_pyramid

OPTIONS = FindOptions(side_um=64, side_px=256)


def test_detect__dark_slides_are_told_and_empty_ones_hold_nothing(services: Services, tmp_path: Path) -> None:
    black, empty = np.full((1024, 2048, 3), 3, np.uint8), np.full((1024, 2048, 3), 244, np.uint8)
    fluorescence = black.copy()
    fluorescence[::40, ::40] = (20, 40, 250)
    for number, picture in enumerate((black, fluorescence, empty)):
        write_pyramid(tmp_path / f"{number}.tif", picture, mpp=0.25)
    take_in(services, plan(tmp_path, "slides"))
    report = find_cells(services.database, services.home, services.secret_key, OPTIONS)

    assert (report.slides, report.cells) == (1, 0)
    assert ["its ground is dark" in reason for _, reason in report.refused] == [True, True]


def test_detect__takes_nothing_from_noise_patterns_and_dark_tiles_and_says_so(
    services: Services, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    grain = cv2.GaussianBlur(generator.normal(size=(700, 700, 1)).astype(np.float32), (0, 0), 3)
    y, x = np.mgrid[:700, :700] * 2 * np.pi / 48
    white = generator.integers(0, 256, (700, 700, 3))
    pictures = {
        "grain": (np.clip(200 + 40 * grain / grain.std(), 0, 255)[..., None], 0.25),
        "dots": ((200 + 50 * np.cos(x) * np.cos(y))[..., None], 0.25),
        "white": (white, 1.0),
        "salt": (np.where(white[..., :1] < 26, 20, 235), 1.0),
    }
    for name, (values, mpp) in pictures.items():
        write_pyramid(tmp_path / f"{name}.tif", np.repeat(values, 3 // values.shape[2], 2).astype(np.uint8), mpp=mpp)
    # One level, of which the overview shows the middle alone: dark is found tile by tile.
    write_pyramid(tmp_path / "dark.tif", generator.integers(0, 40, (3000, 2000, 3), np.uint8), mpp=0.25, levels=1)
    take_in(services, plan(tmp_path, "slides"))
    report = find_cells(services.database, services.home, services.secret_key, OPTIONS)

    assert (report.slides, report.cells, report.crowded, report.refused) == (5, 0, 0, [])
    told = [why.split(":")[0].split(",")[0] for _, why in report.odd]
    assert (
        sorted(told) == ["1 of its 1 tiles are dark"] + ["1 of its 1 tiles hold as many light spots as dark ones"] * 4
    )


def test_detect__stopped_and_gone_on_with_counts_all_odd_tiles_and_the_scan_keeps_them(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.search_tiles.TILE_PX", 640)
    white = np.random.default_rng(0).integers(0, 256, (640, 1920, 3))
    write_pyramid(tmp_path / "a.tif", np.where(white[..., :1] < 26, 20, 235).repeat(3, 2).astype(np.uint8), mpp=1.0)
    take_in(services, plan(tmp_path))

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    options = services.database, services.home, services.secret_key, OPTIONS
    with pytest.raises(KeyboardInterrupt):
        find_cells(*options, on_progress=stop)
    report = find_cells(*options)
    ((slide, why),) = report.odd
    facts = catalog.scan_info(services.database, slide) or {}

    assert why.startswith("4 of its 4 tiles hold as many light spots")
    assert facts[catalog.ODD_TILES] == {NOISY_TILES: 4}


def test_noise__no_field_of_cells_is_taken_for_it(real_data: Path) -> None:
    generator = np.random.default_rng(0)
    for path in sorted((real_data / "cric_dev" / "images").glob("*.webp"))[::4]:
        field = cv2.imread(str(path))[..., ::-1]
        noisy = np.clip(field + generator.normal(0, 12, field.shape), 0, 255).astype(np.uint8)
        for picture in (field, cv2.GaussianBlur(field, (0, 0), 4), noisy):
            assert not looks_like_noise(picture, 0.247, 1_000_000)
    # Among the most crowded: as wholes, parts of them have as many light spots as dark ones.
    for name in ("5e5f9e511001c3ead65b7dc51897a1ba", "e57d535d86c5898be4e897eaed05c8c6"):
        field = cv2.imread(str(real_data / "cric_unlabelled" / "images" / f"{name}.jpg"))[..., ::-1]
        for y, x in ((y, x) for y in (0, 200, 480) for x in (0, 320, 640)):
            assert not looks_like_noise(field[y : y + 480, x : x + 640], 0.247, 1_000_000)


def test_noise__a_picture_of_a_few_cells_tells_too_little_to_be_called_so() -> None:
    small = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)

    assert looks_like_noise(small, 0.5, 1_000)
    assert not looks_like_noise(small, 0.5, 20), "though it would be 32,000 for each mm2"


def test_detect__a_coarse_scan_is_cut_smaller_and_a_search_begun_otherwise_starts_anew(
    services: Services, tmp_path: Path
) -> None:
    assert len(tiles_of(8192, 8192, 0.25)) == len(tiles_of(8192, 8192, 0.75)) == 16
    assert len(tiles_of(8192, 8192, 3.0)) == 256
    write_pyramid(tmp_path / "a.tif", draw_slide(np.random.default_rng(5)).image, mpp=0.25)
    take_in(services, plan(tmp_path, "slides"))
    (slide,) = catalog.slides_with_pictures(services.database)
    before = Search(slide_id=slide.id, version=1, tiles_done=3, tiles=4, unreadable_tiles=0, cells=0,
                    updated_at=utc_now())  # fmt: skip
    catalog.add_found(services.database, before, [], [], [])

    assert find_cells(services.database, services.home, services.secret_key, OPTIONS).cells > 30


def test_detect__a_share_that_goes_away_is_no_damage_and_the_search_goes_on_later(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide, away = tmp_path / "a.tif", tmp_path / "away"
    write_pyramid(slide, draw_slide(np.random.default_rng(5)).image, mpp=0.25)
    take_in(services, plan(tmp_path, "slides"))

    def disconnected(*_: object, **__: object) -> None:
        slide.rename(away)
        raise UnreadableFile("damaged")

    monkeypatch.setattr("datasets.finding.find_nuclei", disconnected)
    told = find_cells(services.database, services.home, services.secret_key, OPTIONS)
    monkeypatch.undo()
    away.rename(slide)

    assert told.slides == 0
    assert "connect their disk or share" in told.refused[0][1]
    assert catalog.searches(services.database) == {}
    assert find_cells(services.database, services.home, services.secret_key, OPTIONS).cells > 30
