"""The routes of the slide view on a real scan and on drawn fields: tiles, cells, the right to decide one."""

import cv2
import numpy as np
import pytest

from app.intake import take_in
from app.pictures import Pictures
from app.services import Services
from datasets import catalog
from datasets.geojson_points import with_points
from datasets.public import plan
from tests.builders import drawn_study
from tests.web import client_of


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    services = drawn_study(folder / "home", folder / "drawn", 2)
    pictures = Pictures(services)
    yield services, pictures
    pictures.close()
    services.database.close()


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory, real_data):
    services = Services.open(tmp_path_factory.mktemp("mosaic") / "home")
    folder = real_data / "wsi" / "derived_cytology_mosaic"
    take_in(services, with_points(plan(folder / "cric_mosaic.tif"), folder / "cric_mosaic_cells.geojson"))
    pictures = Pictures(services)
    yield services, pictures
    pictures.close()
    services.database.close()


def _decoded(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_mosaic__its_tiles_show_the_same_cell_at_every_level(mosaic) -> None:
    services, pictures = mosaic
    client = client_of(services, pictures, "ada")
    (row,) = client.get("/api/slides").json()["slides"]
    assert (row["width"], row["height"], row["mpp"], row["cells"]) == (5120, 2880, pytest.approx(0.247, abs=1e-3), 298)
    cell = catalog.cells_of_slide(services.database, row["slide"])[7]
    looks = []
    for level in range(row["finest"], row["finest"] - 4, -1):
        x, y = (int(value / 2 ** (row["finest"] - level)) for value in (cell.x, cell.y))
        tile = _decoded(client.get(f"/api/slides/{row['slide']}/tile/{level}/{x // 512}/{y // 512}"))
        half = 20 >> (row["finest"] - level)
        part = tile[max(y % 512 - half, 0) : y % 512 + half + 1, max(x % 512 - half, 0) : x % 512 + half + 1]
        looks.append(part.reshape(-1, 3).mean(axis=0))

    assert np.ptp(np.array(looks), axis=0).max() < 40
    assert client.get(f"/api/slides/{row['slide']}/tile/{row['finest']}/99/0").status_code == 404
    assert client.get("/api/slides/SL-unknown/tile/3/0/0").status_code == 404


def test_first_view__is_cut_before_anybody_asks(mosaic) -> None:
    services, _ = mosaic
    pictures = Pictures(services)
    pictures.warm()
    pictures.close()  # whoever asks a child now is refused
    client = client_of(services, pictures, "ada")
    (row,) = client.get("/api/slides").json()["slides"]
    path = f"/api/slides/{row['slide']}/tile"

    for level, columns, rows in ((10, 2, 1), (11, 3, 2)):
        places = [(x, y) for x in range(columns) for y in range(rows)]
        assert {client.get(f"{path}/{level}/{x}/{y}").status_code for x, y in places} == {200}
    assert client.get(f"{path}/{row['finest']}/0/0").status_code == 404


def test_field__is_a_slide_of_one_level_with_its_cells(study) -> None:
    services, pictures = study
    client = client_of(services, pictures, "ada")
    row = client.get("/api/slides").json()["slides"][0]
    field = catalog.slide(services.database, row["slide"])
    tile = _decoded(client.get(f"/api/slides/{row['slide']}/tile/{row['finest']}/0/0"))
    found = client.get(f"/api/slide-cells/{row['slide']}").json()

    assert tile.shape == (min(512, field.height_px), min(512, field.width_px), 3)
    assert len(found["cells"]) == row["cells"] == len(found["x"]) > 0
    assert found["answers"] == []
    assert found["guesses"] is None  # blind first: nothing of the suggestion before the answer


def _answer(client, cell: str, category: str, key: str) -> dict:
    events = [{"kind": "label", "key": key, "cell": cell, "category": category}]
    return client.post("/api/v1/labels", json={"events": events}).json()["receipts"][0]


def test_cell_chosen_again__is_not_taken_away_by_its_return_that_arrives_late(study) -> None:
    services, pictures = study
    ada, ben = (client_of(services, pictures, name) for name in ("ada", "ben"))
    slide = ada.get("/api/slides").json()["slides"][0]["slide"]
    cell = ada.get(f"/api/slide-cells/{slide}").json()["cells"][-1]
    claim = f"/api/slide-cells/{slide}/claim"
    first = ada.post(claim, json={"cell": cell}).json()
    again = ada.post(claim, json={"cell": cell}).json()
    late = ada.post("/api/v1/release", json={"cells": [cell], "until": first["until"]}).json()

    assert (first["is_new"], again["is_new"], late["released"]) == (True, False, 0)
    assert ben.post(claim, json={"cell": cell}).json()["item"] is None
    assert ada.post("/api/v1/release", json={"cells": [cell], "until": again["until"]}).json()["released"] == 1


def test_claim__gives_a_cell_to_one_doctor_and_shows_nobody_anothers_answer(study) -> None:
    services, pictures = study
    ada, ben = (client_of(services, pictures, name) for name in ("ada", "ben"))
    slide = ada.get("/api/slides").json()["slides"][0]["slide"]
    cell = ada.get(f"/api/slide-cells/{slide}").json()["cells"][0]
    claim = f"/api/slide-cells/{slide}/claim"
    first = ada.post(claim, json={"cell": cell}).json()
    assert first["item"]["cell"] == cell
    assert first["is_new"]
    assert not ada.post(claim, json={"cell": cell}).json()["is_new"]
    refused = ben.post(claim, json={"cell": cell}).json()
    assert refused["item"] is None
    assert "Colleagues have answered this cell" in refused["reason"]

    assert _answer(ada, cell, "HSIL", "k1")["accepted"]
    own = ada.get(f"/api/slide-cells/{slide}").json()["answers"]
    assert [(label["cell"], label["category"]) for label in own] == [(cell, "HSIL")]
    assert ben.get(f"/api/slide-cells/{slide}").json()["answers"] == []
    assert ada.post(claim, json={"cell": "CE-nowhere"}).status_code == 400


def test_cell_that_one_is_asked_about_again__does_not_show_the_answer_from_before(study) -> None:
    services, pictures = study
    client = client_of(services, pictures, "cleo")
    slide = client.get("/api/slides").json()["slides"][1]["slide"]
    cell = client.get(f"/api/slide-cells/{slide}").json()["cells"][0]
    claim = f"/api/slide-cells/{slide}/claim"
    client.post(claim, json={"cell": cell})
    _answer(client, cell, "LSIL", "c1")
    undo = {"kind": "undo", "key": "c2", "label_key": "c1"}
    client.post("/api/v1/labels", json={"events": [undo]})

    assert client.get(f"/api/slide-cells/{slide}").json()["answers"] == []
    assert not client.post(claim, json={"cell": cell}).json()["is_new"]  # the undo has given it back to her


def test_viewer__is_served_from_the_package(study) -> None:
    answer = client_of(*study, "ada").get("/api/slides/viewer.js")

    assert answer.headers["content-type"].startswith("text/javascript")
    assert "OpenSeadragon.Viewer" in answer.text
