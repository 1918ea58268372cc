"""Scales that a file does not tell or tells wrong: what is said, what is kept, and the way out that is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from app.cli import cytojepa
from app.intake import take_in
from app.services import Services
from datasets import catalog
from datasets.crops import read_own_png
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from datasets.finding import find_cells
from datasets.intake_report import IngestReport
from datasets.public import Point, plan
from datasets.search_report import FindOptions
from datasets.synthetic import draw_slide
from tests.slide_files import write_aperio, write_pyramid


@pytest.mark.parametrize("stack", [[], ["--stack=1"]], ids=["field", "planes"])
def test_field_without_scale__gets_it_where_the_same_file_comes_again(tmp_path: Path, stack: list[str]) -> None:
    write_drawn_slides(tmp_path / "drawn", seed=3, num_slides=1)
    (tmp_path / "fields").mkdir()
    field = next((tmp_path / "drawn" / "images").iterdir()).read_bytes()
    for number in range(1 + len(stack)):
        (tmp_path / "fields" / f"{number}.png").write_bytes(field)
    home = tmp_path / "home"

    def say(*words: str) -> tuple[dict, str]:
        done = CliRunner().invoke(cytojepa, [*words, "--home", str(home), "--json"])
        return json.loads(done.stdout), done.stderr

    _, told = say("ingest", str(tmp_path / "fields"), *stack)
    assert "give the same files again with --mpp" in told
    searched, _ = say("detect")
    assert searched["cells"] == 0
    found, told = say("ingest", str(tmp_path / "fields"), *stack, f"--mpp={DRAWN_MPP}")
    assert (found["slides"], "1 fields or scans have the given scale now" in told) == (0, True)
    searched, _ = say("detect")
    assert searched["cells"] > 5
    _, told = say("ingest", str(tmp_path / "fields"), *stack, "--mpp=0.5")
    assert "given scale now" not in told  # the cells are cut: the scale stays


def test_scan_whose_file_tells_a_wrong_scale__gets_the_given_one_and_says_so(
    services: Services, tmp_path: Path
) -> None:
    picture = draw_slide(np.random.default_rng(5)).image[:512, :1024]
    write_pyramid(tmp_path / "a.tif", picture, mpp=0.635)  # inches for centimetres
    write_aperio(tmp_path / "b.svs", picture[::-1], mpp=0.635, texts="")  # which its 40x contradicts
    database = services.database

    def known(files: str, **options: Any) -> tuple[list[tuple[float, str]], list[str], IngestReport]:
        report = take_in(services, plan(tmp_path / files), **options).report
        slides = catalog.slides_with_pictures(database)
        notes = [note for slide in slides for note in (catalog.scan_info(database, slide.id) or {})["notes"]]
        return [(round(slide.mpp or 0, 3), slide.mpp_source) for slide in slides], notes, report

    scales, notes, report = known("a.tif", mpp=0.25)
    assert scales == [(0.635, "file")], "a given scale is for files that do not tell"
    assert [note for _, note in report.notes] == notes
    assert notes == ["its file tells 0.635 um/px, which is taken and not the given 0.25; --mpp-wins overrules a file"]
    scales, notes, report = known("a.tif", mpp=0.25, mpp_wins=True)
    assert (scales, report.scaled) == ([(0.25, "given")], 1)
    assert notes == ["its file tells 0.635 um/px; 0.25 was given at the import and is taken"]
    assert known("a.tif", mpp=0.25, mpp_wins=True)[2].scaled == 0
    find_cells(database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    assert catalog.cells(database)
    assert known("a.tif", mpp=0.2505, mpp_wins=True)[2].refused == [], "no other scale, but a rounded one"
    scales, notes, report = known("a.tif", mpp=0.5, mpp_wins=True)
    assert scales == [(0.25, "given")]
    assert ["cut at 0.25 um/px" in reason for _, reason in report.refused] == [True]
    scales, _, report = known("b.svs", mpp=0.5, mpp_wins=True)
    assert sorted(scales) == [(0.25, "given"), (0.5, "given")]
    said = ["its file tells 0.635 um/px; 0.5 was given at the import and is taken"]
    assert [note for _, note in report.notes] == said, "and no doubt about the scale that does not count"


def test_points_that_come_later__are_cut_by_the_scale_that_won(services: Services, tmp_path: Path) -> None:
    write_pyramid(tmp_path / "a.tif", draw_slide(np.random.default_rng(5)).image[:512, :1024], mpp=0.25)
    take_in(services, plan(tmp_path), mpp=0.5, mpp_wins=True)
    points = replace(plan(tmp_path).fields[0], points=(Point(x=300, y=200, category=None),))
    take_in(services, replace(plan(tmp_path), fields=(points,)))

    (slide,) = catalog.slides_with_pictures(services.database)
    (cell,) = catalog.cells(services.database)
    crop = read_own_png(catalog.crop_path(services.home, cell.id))
    truth = draw_slide(np.random.default_rng(5)).image[200 - 64 : 200 + 64, 300 - 64 : 300 + 64]

    assert slide.mpp == 0.5
    assert np.abs(cv2.resize(truth, (256, 256)).astype(int) - crop).mean() < 8, "64 um are 128 pixels of 0.5 um"


def test_scale_that_is_given_while_slides_are_searched__is_that_of_the_whole_search(
    services: Services, tmp_path: Path
) -> None:
    for number in range(2):
        write_pyramid(tmp_path / f"{number}.tif", np.full((512, 2048, 3), 240 + number, np.uint8), mpp=2.0)
    take_in(services, plan(tmp_path))
    times = []

    def overrule(_done: int, _total: int) -> None:
        if not times:  # after the first of two tiles of the first slide
            take_in(services, plan(tmp_path / "0.tif"), mpp=0.25, mpp_wins=True)
            take_in(services, plan(tmp_path / "1.tif"), mpp=0.25, mpp_wins=True)
        times.append(1)

    where = (services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    first, again = find_cells(*where, on_progress=overrule), find_cells(*where)

    assert (first.slides, ["scale was changed" in reason for _, reason in first.refused]) == (1, [True])
    assert (again.slides, again.refused) == (1, [])
    assert [search.tiles for search in catalog.searches(services.database).values()] == [1, 1]
