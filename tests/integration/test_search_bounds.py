"""Odd slides: the search ends soon, and says why it found nothing."""

from pathlib import Path

import numpy as np
import pytest

from app.intake import take_in
from app.services import Services
from datasets import catalog
from datasets.catalog import Search
from datasets.db import utc_now
from datasets.finding import FindOptions, find_cells
from datasets.public import plan
from datasets.search_tiles import tiles_of
from datasets.synthetic import draw_slide
from tests.slide_files import write_pyramid

OPTIONS = FindOptions(side_um=64, side_px=256)


@pytest.mark.parametrize("kind", ["black", "fluorescence", "empty"])
def test_detect__dark_and_empty_slides_cost_nothing_and_are_told(services: Services, tmp_path: Path, kind: str) -> None:
    picture = np.full((1024, 2048, 3), 244 if kind == "empty" else 3, np.uint8)
    if kind == "fluorescence":
        picture[::40, ::40] = (20, 40, 250)
    write_pyramid(tmp_path / "a.tif", picture, mpp=0.25)
    take_in(services, plan(tmp_path, "slides"))
    report = find_cells(services.database, services.home, services.secret_key, OPTIONS)

    assert report.cells == 0
    if kind == "empty":
        assert (report.slides, report.refused) == (1, [])
    else:
        assert report.slides == 0
        assert "its ground is dark" in report.refused[0][1]


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
