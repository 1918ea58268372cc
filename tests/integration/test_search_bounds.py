"""Odd slides: the search ends soon, and says why it found nothing."""

from pathlib import Path

import numpy as np
import pytest

from app.intake import take_in
from app.services import Services
from datasets import catalog
from datasets.catalog import Search
from datasets.db import utc_now
from datasets.errors import UnreadableFile
from datasets.finding import FindOptions, find_cells
from datasets.public import plan
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
