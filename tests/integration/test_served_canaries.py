"""Words of a patient that were planted in slides reach no page, no answer, no picture and no log of the server."""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from PIL.ExifTags import Base
from starlette.routing import Mount, Route
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from app.api import api_routes
from app.exports import make_export
from app.page_rights import PAGES
from app.services import Services
from datasets import catalog
from datasets.finding import find_cells
from datasets.search_report import FindOptions
from datasets.synthetic import draw_slide
from labeling import accounts
from labeling.export.rows import Selection
from labeling.labels import LabelEvent, record
from tests.browser_server import PASSWORD, Server
from tests.journey import say
from tests.slide_files import dicom_slide, plant, write_aperio

WORDS = {"name": "CANARY^JANE", "id": "MRN47110815", "birth": "19310203", "file": "Canary Jane 4711"}
TRACES = [b"CANARY", b"Canary", b"MRN4711", b"19310203"]
LABEL_COLOUR = (255, 0, 255)
"""Of the planted picture of the label, on which a bar code would be."""
PATIENCE_SECONDS = 200.0
pytestmark = pytest.mark.timeout(900)
NEEDED = {"/api/gallery": "limit=5", "/api/finds": "", "/api/opinions": "slide={slide}", "/api/atlas": "cells={cell}"}


def _planted(folder: Path) -> Path:
    """Write a DICOM slide with its label, an SVS, a JPEG with EXIF and a broken file, all with a patient's words."""
    folder.mkdir()
    picture = draw_slide(np.random.default_rng(3)).image[:768, :1024]
    texts = f"Filename = {WORDS['name']}|User = {WORDS['id']}|Date = {WORDS['birth']}|Barcode = {WORDS['id']}"
    series, label = pydicom.uid.generate_uid(), np.full((256, 256, 3), LABEL_COLOUR, np.uint8)
    for number, header in enumerate((
        dicom_slide(picture, mpp=0.25, series=series), dicom_slide(label, mpp=5.0, flavor="LABEL", series=series),
    )):  # fmt: skip
        plant(header, WORDS)
        header.save_as(folder / f"{WORDS['file']} {number}.dcm", enforce_file_format=True)
    write_aperio(folder / f"{WORDS['file']}.svs", picture[:, ::-1].copy(), mpp=0.25, texts=texts)
    exif = Image.Exif()
    exif[Base.ImageDescription], exif[Base.Artist] = WORDS["name"], WORDS["id"]
    Image.fromarray(picture[::-1]).save(folder / f"{WORDS['file']}.jpg", exif=exif, comment=WORDS["name"].encode())
    (folder / f"{WORDS['file']} broken.tif").write_bytes(b"II*\0" + WORDS["name"].encode())
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Iterator[tuple[Services, Path]]:
    """A study with the planted files, taken in by a job, with labels and an export."""
    folder = tmp_path_factory.mktemp("served")
    planted, services = _planted(folder / "in"), Services.open(folder / "home")
    accounts.add_account(services.database, "ada", "admin", PASSWORD)
    told = say(services.home, "ingest", str(planted), "--mpp=0.25")
    assert (told["slides"], [Path(row["path"]).name for row in told["refused"]]) == (3, [f"{WORDS['file']} broken.tif"])
    find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    events = [LabelEvent(key=cell, cell_id=cell, category="HSIL") for cell in catalog.cell_ids(services.database)[:5]]
    record(services.database, "ada", events, label_set=services.label_set)
    make_export(services, "csv", Selection(), by="ada", on_progress=lambda stage, done, total: None)
    yield services, planted
    services.database.close()


@pytest.fixture(scope="module")
def served(study):
    running = Server(study[0].home)
    running.start()
    with httpx.Client(base_url=running.url, timeout=60) as client:
        client.post("/login", data={"name": "ada", "password": PASSWORD})
        yield running, client
    running.kill()


def _traces(content: bytes) -> list[bytes]:
    return [trace for trace in TRACES if trace in content]


def _addresses(routes, prefix: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _addresses(route.routes, prefix + route.path)
        elif isinstance(route, Route) and "GET" in (route.methods or ()):
            yield prefix + route.path


def _filled(services: Services, slides: list[dict]) -> list[str]:
    """Return every address that answers GET, for each slide, a cell and an export of the study."""
    cell, found = catalog.cell_ids(services.database)[0], []
    (export,) = (path.name for path in (services.home / "exports").iterdir())
    for slide in slides:
        values = {"cell_id": cell, "slide_id": slide["slide"], "level": str(slide["coarsest"]), "column": "0",
                  "row": "0", "name": export, "format_name": "csv"}  # fmt: skip
        for path in _addresses(api_routes(services)):
            address = re.sub(r"{(\w+)(?::\w+)?}", lambda part, values=values: values[part[1]], path)
            query = NEEDED.get(path, "").format(slide=slide["slide"], cell=cell)
            found.append(f"{address}?{query}" if query else address)
    return sorted(set(found))


def _has_label_colour(content: bytes) -> bool:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return bool((np.abs(picture.astype(int) - LABEL_COLOUR[::-1]).max(axis=2) < 40).mean() > 0.01)


def test_answers__and_pictures_hold_none(study, served) -> None:
    services, client = study[0], served[1]
    slides = client.get("/api/slides").json()["slides"]
    answers = {address: client.get(address) for address in _filled(services, slides)}
    pictures = [a for a, r in answers.items() if r.headers.get("content-type", "").startswith("image/")]
    refused = {a: r.text for a, r in answers.items() if r.status_code not in (200, 204)}

    assert {a: _traces(r.content) for a, r in answers.items() if _traces(r.content)} == {}
    assert [a for a in pictures if _has_label_colour(answers[a].content)] == []
    assert any("/tile/" in a for a in pictures), refused
    assert any(a.endswith("/wide") for a in pictures), refused
    assert len(answers) - len(refused) > 20, refused
    assert _has_label_colour(cv2.imencode(".png", np.full((9, 9, 3), LABEL_COLOUR[::-1], np.uint8))[1].tobytes())


def _page(server: Server, client: httpx.Client, name: str) -> bytes:
    """Return all that a browser is sent for a page."""
    headers = {"Cookie": f"cytojepa_session={client.cookies['cytojepa_session']}", "Origin": server.url}
    wish, told = BackMsg(), b""
    wish.rerun_script.page_name = name
    with connect(f"{server.url.replace('http', 'ws')}/_stcore/stream", additional_headers=headers,
                 subprotocols=["streamlit"], max_size=None) as socket:  # fmt: skip
        socket.send(wish.SerializeToString())
        while True:
            content = socket.recv(timeout=PATIENCE_SECONDS)
            told += content
            if ForwardMsg.FromString(content).WhichOneof("type") == "script_finished":
                return told


def test_pages__hold_none(served, study) -> None:
    server, client = served
    pages = {title: _page(server, client, title.lower()) for _, _, title in PAGES if title != "Label"}
    pages["Label"] = _page(server, client, "")

    assert {title: _traces(content) for title, content in pages.items() if _traces(content)} == {}
    # The control: what was sent are the pages themselves, with what they have to tell.
    slides = [slide.id.encode() for slide in catalog.slides_with_pictures(study[0].database)]
    assert any(slide in pages["Slides"] for slide in slides)
    assert b"Take files in" in pages["Jobs"]
    assert b"ada" in pages["Team"]


def test_log__holds_none_even_when_an_original_is_gone(served, study) -> None:
    server, client = served
    planted = study[1]
    assert sum(bool(_traces(path.name.encode() + path.read_bytes())) for path in planted.iterdir()) == 5
    planted.rename(planted.with_name("away"))
    slides = [slide.id for slide in catalog.slides_with_pictures(study[0].database)]
    gone = [client.get(f"/api/slides/{slide}/tile/0/1/1") for slide in slides]
    client.get(f"/api/slides/{WORDS['file']}/tile/0/0/0")
    client.post("/login", data={"name": WORDS["name"], "password": "wrong"})
    client.get("/api/v1/worklist", params={WORDS["id"]: WORDS["birth"]})

    assert 404 in {answer.status_code for answer in gone}
    assert [_traces(answer.content) for answer in gone if _traces(answer.content)] == []
    assert _traces(server.log.read_bytes()) == []
    assert server.log.stat().st_size > 0


def test_folder__holds_none_but_in_the_private_list(study) -> None:
    services, _ = study
    files = [path for path in services.home.rglob("*") if path.is_file()]
    holders = {p.name for p in files if _traces(str(p.relative_to(services.home)).encode() + p.read_bytes())}

    assert holders == {"originals.json"}
