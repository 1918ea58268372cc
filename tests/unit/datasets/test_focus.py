"""Focal planes: the sharp one is chosen for each cell, the others can be read, a folder of planes is one field."""

import json

import cv2
import numpy as np
import pytest

from app.intake import take_in
from app.pictures import Pictures
from datasets import catalog, places
from datasets.crops import OUTSIDE, encode_png, read_own_png
from datasets.errors import LayoutError
from datasets.finding import find_cells
from datasets.focus import sharpest, sharpness
from datasets.geojson_points import with_points
from datasets.public import plan
from datasets.readers.pyramid import PyramidReader
from datasets.search_report import FindOptions
from datasets.stacks import as_stacks
from tests.slide_files import dicom_slide, write_ndpi_stack
from tests.web import client_of

MPP = 0.25
CELLS = ((200, 150), (440, 330))


@pytest.fixture
def field() -> np.ndarray:
    """Two nuclei with some chromatin on bright ground."""
    picture = np.full((512, 640, 3), 240, np.uint8)
    grain = np.random.default_rng(3).integers(40, 120, (512, 640), np.uint8)
    for x, y in CELLS:
        nucleus = np.zeros((512, 640), np.uint8)
        cv2.circle(nucleus, (x, y), 16, 1, -1)
        picture[nucleus == 1] = np.stack([grain, grain // 2, grain], axis=2)[nucleus == 1]
    return picture


def _planes(field: np.ndarray, sharp: int, number: int) -> list[np.ndarray]:
    return [field if n == sharp else cv2.GaussianBlur(field, (0, 0), 2.0 * abs(n - sharp)) for n in range(number)]


def test_sharpest__is_the_plane_that_was_not_blurred(field) -> None:
    for sharp in range(4):
        assert sharpest(_planes(field, sharp, 4)) == sharp
    assert sharpness(np.full((9, 9, 3), 200, np.uint8)) == 0


def _stack(services, tmp_path, field):
    """A field whose left cell is sharp on the lowest plane and whose right one on the third."""
    low, high = _planes(field, 0, 4), _planes(field, 2, 4)
    folder = tmp_path / "stack"
    folder.mkdir()
    for number in range(4):
        picture = np.hstack([low[number][:, :320], high[number][:, 320:]])
        (folder / f"fov{number:03d}.png").write_bytes(encode_png(picture))
    return take_in(services, as_stacks(plan(folder), 1.5), mpp=MPP)


def test_folder_of_planes__is_one_field_and_each_found_cell_gets_its_sharp_plane(services, tmp_path, field) -> None:
    intake = _stack(services, tmp_path, field)
    assert intake.report.slides == 1
    assert intake.report.refused == []
    (slide,) = catalog.slides_with_pictures(services.database)
    find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    cells = sorted(catalog.cells_of_slide(services.database, slide.id), key=lambda cell: cell.x)
    planes = places.planes_of_cells(services.database, [cell.id for cell in cells])

    assert [(round(c.x, -1), round(c.y, -1)) for c in cells] == [(x, y) for x, y in CELLS]
    left, right = (planes[cell.id] for cell in cells)
    assert left[1] == right[1]
    assert right[0] - left[0] == pytest.approx(3.0)  # two planes of 1.5 um
    assert left[0] == min(left[1])


def test_other_planes__reach_the_deck_and_are_softer_than_the_crop(services, tmp_path, field) -> None:
    _stack(services, tmp_path, field)
    find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    pictures = Pictures(services)
    client = client_of(services, pictures, "ada")
    item = client.get("/api/v1/worklist").json()["items"][0]
    looks = {}
    for z in item["planes"]:
        answer = client.get(f"/api/v1/cells/{item['cell']}/image?z={z}")
        assert answer.status_code == 200
        looks[z] = sharpness(cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR))
    crop = read_own_png(catalog.crop_path(services.home, item["cell"]))
    tile = client.get(f"/api/slides/{catalog.slides_with_pictures(services.database)[0].id}/tile/10/0/0?z=99")
    pictures.close()

    assert max(looks, key=looks.get) == item["plane"]
    assert looks[item["plane"]] == pytest.approx(sharpness(crop), rel=0.02)
    assert sorted(looks.values())[-2] < 0.8 * looks[item["plane"]]
    assert tile.status_code == 200


def test_dicom_with_five_planes__cuts_each_point_where_it_is_sharp(services, tmp_path, field) -> None:
    planes_um = (0.0, 1.0, 2.0, 3.0, 4.0)
    path = tmp_path / "slide.dcm"
    dicom_slide(field, mpp=MPP, planes_um=planes_um, sharp=3).save_as(path, enforce_file_format=True)
    points = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": list(at)}, "properties": {}}
            for at in CELLS
        ],
    }
    (tmp_path / "points.geojson").write_text(json.dumps(points))
    intake = take_in(services, with_points(plan(path, "slides"), tmp_path / "points.geojson"))
    cells = catalog.cells(services.database)

    assert intake.report.refused == []
    found = places.planes_of_cells(services.database, [cell.id for cell in cells])
    assert [found[cell.id] for cell in cells] == [(3.0, list(planes_um))] * 2


def test_pictures_that_are_no_planes__are_refused_in_a_sentence(services, tmp_path, field) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode_png(field))
    (folder / "b.png").write_bytes(encode_png(field[:200]))
    report = take_in(services, as_stacks(plan(folder), 1.0), mpp=MPP).report

    assert "differ in size" in report.refused[0][1]
    assert report.slides == 0
    with pytest.raises(LayoutError, match="at most 20 um"):
        as_stacks(plan(folder), 0.0)


def test_ndpi_with_three_planes__each_can_be_read_and_the_sharp_one_is_chosen(services, tmp_path, field) -> None:
    planes, planes_um = _planes(field, 2, 3), [-2.0, 0.0, 2.0]
    path = tmp_path / "slide.ndpi"
    write_ndpi_stack(path, planes, planes_um, mpp=MPP)
    reader = PyramidReader(path)
    assert reader.info.z_um == tuple(planes_um)
    for z_um, plane in zip(planes_um, planes, strict=True):
        region = reader.read_region(100, 80, 300, 200, level=0, z_um=z_um)
        assert np.abs(region.astype(int) - plane[80:280, 100:400]).mean() < 3
        half = reader.read_region(100, 80, 150, 100, level=1, z_um=z_um)
        assert np.abs(half.astype(int) - cv2.resize(region, (150, 100), interpolation=cv2.INTER_AREA)).mean() < 5
    outside = reader.read_region(-10, 0, 20, 5, level=0, z_um=2.0)
    reader.close()
    assert (outside[:, :10] == OUTSIDE).all()

    take_in(services, plan(path, "slides"))
    find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    cells = catalog.cells(services.database)
    found = places.planes_of_cells(services.database, [cell.id for cell in cells])
    assert len(cells) == len(CELLS)
    assert {z_um for z_um, _ in found.values()} == {2.0}
