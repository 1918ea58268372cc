"""Slides in: opened at arm's length, refused with a sentence, searched for cells, never twice."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, select

from app.intake import take_in
from app.services import Services
from datasets import catalog, originals, places
from datasets.catalog import Search
from datasets.crops import OUTSIDE, read_own_png
from datasets.detection import uncovered
from datasets.errors import DatasetError, UnreadableFile
from datasets.finding import find_cells
from datasets.geojson_points import with_points
from datasets.manifest import TileOptions, build_tile_pack
from datasets.nuclei import find_nuclei
from datasets.public import FieldFile, Plan, Point, plan
from datasets.sandbox import Decoder
from datasets.search_report import FindOptions
from datasets.synthetic import draw_slide
from datasets.tile_files import open_tiles, read_sources
from tests.slide_files import dicom_slide, write_pyramid

OPTIONS = FindOptions(side_um=64, side_px=256)


def _find(services: Services, **options):
    return find_cells(services.database, services.home, services.secret_key, OPTIONS, **options)


@pytest.fixture(scope="session")
def slide_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn slide of 2560 x 960 pixels in two levels, at 0.25 um/px."""
    generator = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("files") / "DOE JANE 4711.tif"
    write_pyramid(path, np.hstack([draw_slide(generator).image for _ in range(2)]), mpp=0.25)
    return path


def test_scan__becomes_a_slide_and_its_nuclei_become_cells(services: Services, slide_file: Path) -> None:
    report = take_in(services, plan(slide_file.parent, "slides")).report
    slide = catalog.slides_with_pictures(services.database)[0]
    found = _find(services)
    cells = catalog.cells(services.database)

    assert (report.slides, report.refused) == (1, [])
    assert (slide.kind, slide.width_px, slide.height_px, slide.mpp_source) == ("slide", 2560, 960, "file")
    assert slide.mpp == pytest.approx(0.25, rel=1e-3)
    assert found.cells == len(cells) > 60
    assert all(0 <= c.x < 2560 and 0 <= c.y < 960 for c in cells)
    detected = [c for c in cells if c.origin == "detected"]
    assert found.grid == len(cells) - len(detected) == sum(c.origin == "grid" for c in cells)
    crops = [read_own_png(catalog.crop_path(services.home, c.id)) for c in detected[:20]]
    assert {crop.shape for crop in crops} == {(256, 256, 3)}
    # The nucleus is what the crop is about: darker in its middle than around it.
    assert np.mean([crop[118:138, 118:138].mean() < crop.mean() for crop in crops]) > 0.9


def test_detect__twice_adds_nothing_and_a_killed_one_goes_on(
    services: Services, slide_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.search_tiles.TILE_PX", 1280)
    take_in(services, plan(slide_file, "slides"))

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _find(services, on_progress=stop)
    first = {c.id for c in catalog.cells(services.database)}
    with services.database.read() as session:
        search = session.scalars(select(Search)).one()
    assert (search.tiles_done, search.tiles) == (1, 2)
    second = _find(services)
    everything = {c.id for c in catalog.cells(services.database)}

    assert first < everything
    assert second.cells == len(everything) - len(first)
    assert _find(services).cells == 0
    detected = {c.id for c in catalog.cells(services.database) if c.origin == "detected"}
    assert set(places.nuclei_of_slide(services.database, catalog.slide_ids(services.database).pop())) == detected


def test_detect__tiles_give_what_one_picture_gives(
    services: Services, slide_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.search_tiles.TILE_PX", 640)
    take_in(services, plan(slide_file, "slides"))
    _find(services)
    tiled = np.array([(c.x, c.y) for c in catalog.cells(services.database)])
    with Decoder() as decoder:
        whole = find_nuclei(decoder.read_region([slide_file], 0, 0, 2560, 960), 0.25).centers_px
    near = np.linalg.norm(whole[:, None] - tiled[None], axis=2)

    assert (near.min(axis=1) * 0.25 <= 4.5).mean() > 0.9
    pairs = np.linalg.norm(tiled[:, None] - tiled[None], axis=2) + np.eye(len(tiled)) * 1e6
    assert pairs.min() * 0.25 > 2.0


def test_detect__leaves_slides_with_points_alone_unless_named(services: Services, slide_file: Path) -> None:
    points = (Point(x=300.0, y=300.0, category="HSIL"),)
    take_in(services, Plan(layout="slides", fields=(FieldFile(path=slide_file, points=points),)))
    slide_id = catalog.slides_with_pictures(services.database)[0].id

    assert catalog.counts(services.database).cells == 1
    assert _find(services).slides == 0
    assert _find(services, slide_ids=[slide_id]).cells > 60
    with pytest.raises(DatasetError, match="no field or scan"):
        _find(services, slide_ids=["SL-NONE"])


def test_detect__limit_keeps_the_surest(services: Services, slide_file: Path) -> None:
    take_in(services, plan(slide_file, "slides"))
    limited = FindOptions(side_um=64, side_px=256, most_per_mm2=100)
    report = find_cells(services.database, services.home, services.secret_key, limited)
    area_mm2 = 2560 * 960 * 0.25**2 / 1e6

    assert report.cells == round(100 * area_mm2)
    found = places.nuclei_of_slide(services.database, catalog.slide_ids(services.database).pop())
    assert np.median([n.confidence for n in found.values()]) > 0.5


def test_grid__offers_stain_that_holds_no_nucleus(services: Services, tmp_path: Path) -> None:
    field = np.full((800, 1200, 3), 240, np.uint8)
    field[:, 600:] = (150, 190, 200)  # cytoplasm, everywhere and nothing in it
    field[300:330, 900:930] = (120, 170, 180)
    Image.fromarray(field).save(tmp_path / "pale.png")
    take_in(services, plan(tmp_path / "pale.png", "slides"), mpp=0.25)
    no_grid = FindOptions(side_um=64, side_px=256, has_grid=False)
    without = find_cells(services.database, services.home, services.secret_key, no_grid)
    slide_id = catalog.slides_with_pictures(services.database)[0].id
    assert (without.cells, without.grid) == (0, 0)
    with services.database.write() as session:
        session.execute(delete(Search))
    report = _find(services, slide_ids=[slide_id])
    places = np.array([(c.x, c.y) for c in catalog.cells(services.database)]) * 0.25

    assert report.cells == report.grid == len(places)
    # Half of the field is stained: 150 x 200 um, squares of 32 um.
    assert 20 <= len(places) <= 32
    assert (places[:, 0] > 145).all()
    points = np.mgrid[155:300:10, 5:200:10].reshape(2, -1).T
    assert np.abs(points[:, None] - places[None]).max(axis=2).min(axis=1).max() <= 32, "each is in some crop of 64 um"
    assert np.abs(places - (228.75, 78.75)).max(axis=1).min() < 8, "the darkest place of its square"


def test_scan__without_scale_waits_for_mpp(services: Services, tmp_path: Path) -> None:
    write_pyramid(tmp_path / "a.tif", draw_slide(np.random.default_rng(1)).image, mpp=None)
    refused = take_in(services, plan(tmp_path / "a.tif", "slides")).report.refused

    assert [reason.split(":")[0].split("; ")[-1] for _, reason in refused] == ["no scale in the file"]
    assert not (services.home / originals.ORIGINALS_FILE).exists()
    assert take_in(services, plan(tmp_path / "a.tif", "slides"), mpp=0.25).report.slides == 1
    assert catalog.slides_with_pictures(services.database)[0].mpp_source == "given"


def test_scan__its_name_is_only_in_the_private_list(services: Services, slide_file: Path) -> None:
    take_in(services, plan(slide_file.parent, "slides"))
    _find(services)
    holders = [p.name for p in services.home.rglob("*") if p.is_file() and b"DOE JANE" in p.read_bytes()]

    assert holders == [originals.ORIGINALS_FILE]
    assert (services.home / originals.ORIGINALS_FILE).stat().st_mode & 0o777 == 0o600


def test_read_region__outside_is_painted_and_every_level_agrees(slide_file: Path) -> None:
    with Decoder() as decoder:
        info = decoder.open_slide([slide_file])
        corner = decoder.read_region([slide_file], -50, -40, 200, 100)
        fine = decoder.read_region([slide_file], 512, 256, 512, 512)
        coarse = decoder.read_region([slide_file], 512, 256, 256, 256, level=1)

    assert [(level.width_px, level.height_px) for level in info.levels] == [(2560, 960), (1280, 480)]
    assert (corner[:40] == OUTSIDE).all()
    assert (corner[:, :50] == OUTSIDE).all()
    assert not (corner[40:, 50:] == OUTSIDE).all(axis=2).any()
    shrunk = fine.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - coarse).mean() < 4


def test_read_region__a_gone_file_and_a_wrong_level_are_refused(slide_file: Path) -> None:
    with Decoder() as decoder:
        with pytest.raises(UnreadableFile):
            decoder.read_region([slide_file], 0, 0, 10, 10, level=9)
        with pytest.raises(UnreadableFile, match="too large"):
            decoder.read_region([slide_file], 0, 0, 100_000, 100_000)
        with pytest.raises(UnreadableFile, match="no longer there"):
            decoder.open_slide([slide_file.with_name("gone.tif")])
        assert decoder.read_region([slide_file], 0, 0, 10, 10).shape == (10, 10, 3)


def test_cric__nuclei_are_found(real_data: Path) -> None:
    points: dict[str, list[tuple[float, float, str]]] = {}
    with (real_data / "cric_dev" / "cells.csv").open() as stream:
        for row in csv.DictReader(stream):
            points.setdefault(row["image"], []).append((float(row["x"]), float(row["y"]), row["bethesda_system"]))
    hits, count, offered = [], 0, 0
    with Decoder() as decoder:
        for name, marked in points.items():
            picture = decoder.read_picture(real_data / "cric_dev" / "images" / name)
            found = find_nuclei(picture, 0.247)
            count += len(found)
            offered += len(uncovered(picture, 0.247, found.centers_px))
            places = np.array([(x, y) for x, y, _ in marked])
            near = np.linalg.norm(places[:, None] - found.centers_px[None], axis=2).min(axis=1) * 0.247 <= 4.5
            hits += [(category, bool(hit)) for (_, _, category), hit in zip(marked, near, strict=True)]
    severe = [hit for category, hit in hits if category in ("HSIL", "SCC", "ASC-H")]

    assert len(hits) == 1372
    assert np.mean([hit for _, hit in hits]) >= 0.97
    assert np.mean([hit for category, hit in hits if category == "HSIL"]) >= 0.95
    assert np.mean(severe) >= 0.95
    assert count / len(points) <= 210
    assert 0 < offered / len(points) <= 4, "the grid adds little where nuclei are found"


def test_real_folder__every_readable_file_and_every_reason(services: Services, real_data: Path) -> None:
    report = take_in(services, plan(real_data / "wsi")).report
    reasons = {path.name: reason for path, reason in report.refused}
    notes = {path.name: note for path, note in report.notes}
    slides = catalog.slides_with_pictures(services.database)

    assert {"broken.svs", "unreadable.svs", "unopenable.tiff"} <= set(reasons)
    assert "--mpp" in reasons["TCGA-CR-7395-01A-01-TS1.svs"]
    assert "352.8" in reasons["boxes.tiff"]
    assert "laid out row by row" in reasons["small_dicom.dcm"]
    assert any("YCbCr" in note for note in notes.values())
    assert (2220, 2967) in {(slide.width_px, slide.height_px) for slide in slides}
    assert sum(slide.kind == "slide" for slide in slides) == 15
    assert "macro picture" in report.removed


def test_real_dicom__false_colours_are_repaired(real_data: Path) -> None:
    paths = sorted((real_data / "wsi" / "dicom_pyramid_cmu1").glob("*.dcm"))
    svs = real_data / "wsi" / "aperio" / "CMU-1-Small-Region.svs"
    with Decoder() as decoder:
        decoder.open_slide(paths)
        repaired = decoder.read_region(paths, 600, 900, 400, 400).astype(int)
        truth = decoder.read_region([svs], 600, 900, 400, 400).astype(int)

    assert np.abs(repaired - truth).mean() < 6


def test_mosaic__tiff_and_dicom_give_the_same_catalogue(tmp_path: Path, real_data: Path) -> None:
    folder = real_data / "wsi" / "derived_cytology_mosaic"
    studies = []
    for name in ("cric_mosaic.tif", "dicom"):
        services = Services.open(tmp_path / name)
        intake = take_in(services, with_points(plan(folder / name, "slides"), folder / "cric_mosaic_cells.geojson"))
        slide = catalog.slides_with_pictures(services.database)[0]
        cells = {(c.x, c.y): read_own_png(catalog.crop_path(services.home, c.id))
                 for c in catalog.cells(services.database)}  # fmt: skip
        studies.append(((slide.width_px, slide.height_px, slide.mpp, intake.report.cells, intake.labels), cells))
        services.database.close()
    (facts, crops), (other_facts, other_crops) = studies

    assert facts == other_facts == (5120, 2880, 0.247, 298, 298)
    assert crops.keys() == other_crops.keys()
    differences = [np.abs(crops[place].astype(int) - other_crops[place]).mean() for place in crops]
    assert max(differences) < 4


def test_tile_pack__a_scan_gives_tiles_for_pretraining(services: Services, slide_file: Path) -> None:
    take_in(services, plan(slide_file, "slides"))
    pack = build_tile_pack(services.database, services.home, TileOptions(mpp=0.5, side_px=128))
    facts = json.loads((pack / "manifest.json").read_text())
    tiles = np.load(pack / "tiles.npy")
    row = facts["sources"][len(tiles) // 2]
    with Decoder() as decoder:
        truth = decoder.read_region([slide_file], round(row["x"]) - 128, round(row["y"]) - 128, 128, 128, level=1)

    assert 20 < len(tiles) == facts["tiles"] <= 10 * 3
    assert facts["unreadable"] == 0
    assert np.abs(tiles[len(tiles) // 2].astype(int) - truth).mean() < 3
    assert build_tile_pack(services.database, services.home, TileOptions(mpp=0.5, side_px=128)) == pack

    shutil.rmtree(pack)
    pack = build_tile_pack(services.database, services.home, TileOptions(mpp=0.5, side_px=128), array_up_to=0)
    assert np.abs(open_tiles(pack)[np.arange(len(tiles))].astype(int) - tiles).mean() < 3
    assert list(read_sources(pack, json.loads((pack / "manifest.json").read_text()))) == facts["sources"]


def test_focal_stack__every_plane_is_reachable(tmp_path: Path) -> None:
    picture, planes = draw_slide(np.random.default_rng(2)).image[:384, :512], (0.0, 1.5, 3.0)
    dicom_slide(picture, mpp=0.25, planes_um=planes, sharp=1).save_as(tmp_path / "z.dcm", enforce_file_format=True)
    with Decoder() as decoder:
        info = decoder.open_slide([tmp_path / "z.dcm"])
        stack = [decoder.read_region([tmp_path / "z.dcm"], 0, 0, 512, 384, z_um=z) for z in info.z_um]

    assert info.z_um == planes
    assert np.array_equal(stack[1], picture)
    assert all(np.abs(stack[i].astype(int) - picture).mean() > 1 for i in (0, 2))
