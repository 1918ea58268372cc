"""3DHistech MRXS, drawn: a file and its folder are one slide, told apart by the folder, without label and names."""

import shutil
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from app.intake import take_in
from app.services import Services
from datasets import catalog, originals
from datasets.copies import copies_of
from datasets.crops import OUTSIDE
from datasets.finding import find_cells
from datasets.public import plan
from datasets.sandbox import Decoder
from datasets.search_report import FindOptions
from datasets.synthetic import draw_slide
from tests.mirax_files import write_mirax

LABEL = np.full((90, 120, 3), (250, 30, 200), np.uint8)
WORDS = "DOEMANN JANETTE 47110815"  # words that no code holds by chance


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [draw_slide(generator).image[:512, :1024] for _ in range(2)]


@pytest.fixture
def folder(tmp_path: Path, pictures: list[np.ndarray]) -> Path:
    for name, picture in zip((WORDS, "b"), pictures, strict=True):
        write_mirax(tmp_path / "in" / f"{name}.mrxs", picture, mpp=0.25, words=WORDS, label=LABEL, unscanned=(1,))
    return tmp_path / "in"


def test_mirax__is_read_where_it_is_and_two_scans_are_two_slides(
    services: Services, folder: Path, pictures: list[np.ndarray]
) -> None:
    one, other = sorted(folder.glob("*.mrxs"))
    assert one.read_bytes() == other.read_bytes(), "only the folders differ"
    with openslide.OpenSlide(one) as slide:
        assert {"label", "macro"} <= set(slide.associated_images)

    report = take_in(services, plan(folder, "slides")).report
    slides = catalog.slides_with_pictures(services.database)

    assert (report.slides, report.refused) == (2, [])
    assert {(s.width_px, s.height_px, s.mpp, s.mpp_source) for s in slides} == {(1024, 512, 0.25, "file")}
    assert {"label picture", "macro picture", "bar code"} <= set(report.removed)
    with Decoder() as decoder:
        seen = [decoder.read_region(originals.files_of(services.home, s.id), 0, 0, 1024, 512) for s in slides]
    assert all((picture[:256, 256:512] == OUTSIDE).all() for picture in seen), "what was not scanned is white"
    for truth in pictures:
        assert min(np.abs(picture[256:].astype(int) - truth[256:]).mean() for picture in seen) < 4
    assert take_in(services, plan(folder, "slides")).report.slides == 0


@pytest.mark.parametrize("keep", ["refer", "copy"])
def test_mirax__camera_pictures_that_overlap_are_one_picture(services: Services, tmp_path: Path, keep: str) -> None:
    """As real scanners store them: each camera picture shares a border with the next, their places lie in a layer."""
    truth = draw_slide(np.random.default_rng(5)).image[:448, :832]
    write_mirax(tmp_path / "in" / "c.mrxs", truth, mpp=0.25, overlap=64)
    report = take_in(services, plan(tmp_path / "in", "slides"), keep=keep).report
    (slide,) = catalog.slides_with_pictures(services.database)

    assert (report.refused, slide.width_px, slide.height_px, slide.mpp) == ([], 832, 448, 0.25)
    with Decoder() as decoder:
        seen = decoder.read_region(originals.files_of(services.home, slide.id), 0, 0, 832, 448)
    assert np.abs(seen.astype(int) - truth).mean() < 4


def test_mirax__clean_copy_holds_levels_only_and_gives_the_cells(services: Services, folder: Path) -> None:
    report = take_in(services, plan(folder, "slides"), keep="copy").report
    slides = catalog.slides_with_pictures(services.database)
    found = find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))

    assert (report.slides, report.refused, report.referred) == (2, [], 0)
    assert not (services.home / originals.ORIGINALS_FILE).exists()
    assert found.cells > 20
    for slide in slides:
        (copy,) = copies_of(services.home, slide.id)
        with tifffile.TiffFile(copy) as tif:
            assert [page.shape for page in tif.pages] == [(512, 1024, 3), (256, 512, 3)]
            colors = np.concatenate([page.asarray().reshape(-1, 3) for page in tif.pages]).astype(int)
            assert np.abs(colors - LABEL[0, 0]).sum(axis=1).min() > 60, "the label's colour is nowhere"
    words = [WORDS.encode(), *WORDS.encode().split()]
    held = [p for p in services.home.rglob("*") if p.is_file() and any(word in p.read_bytes() for word in words)]
    assert held == []


def test_mirax__a_part_that_is_missing_is_named(services: Services, folder: Path) -> None:
    alone = folder / "alone.mrxs"
    alone.write_bytes((folder / "b.mrxs").read_bytes())
    (folder / "b" / "Data0000.dat").unlink()
    shutil.copytree(folder / "b", folder / "orphan")
    (folder / "big.MRXS").write_bytes(alone.read_bytes())
    report = take_in(services, plan(folder, "slides")).report
    reasons = {path.name: reason for path, reason in report.refused}

    assert report.slides == 1
    assert "copy both" in reasons["alone.mrxs"]
    assert "rename it" in reasons["big.MRXS"]
    assert "copy both" in reasons["orphan"]
    assert "OpenSlide cannot open it" in reasons["b.mrxs"]
    assert all(WORDS not in reason and str(folder) not in reason for reason in reasons.values()), reasons
