"""Cells marked by hand: what is refused and why, once for each key, in the chain with who marked them."""

import numpy as np
import pytest

from app import finds as desk
from app.intake import take_in
from app.pictures import Pictures
from datasets import catalog
from datasets.crops import encode_png, read_own_png
from datasets.public import plan
from labeling.finds import FindEvent
from labeling.records import Event
from labeling.slide_records import Find
from labeling.verification import check_chain

MPP = 0.25


@pytest.fixture
def study(services, picture, tmp_path):
    folder = tmp_path / "fields"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode_png(picture))
    take_in(services, plan(folder), mpp=MPP)
    pictures = Pictures(services)
    (slide,) = catalog.slides_with_pictures(services.database)
    yield services, pictures, slide
    pictures.close()


def _mark(study, who="ada", **values):
    services, pictures, slide = study
    event = FindEvent(**{"key": "k1", "slide_id": slide.id, "x": 200.0, "y": 150.0, **values})
    return desk.take(services, pictures, who, [event])[0]


def test_point__becomes_a_cell_with_its_crop_at_the_studys_scale(study) -> None:
    services, _, slide = study
    receipt = _mark(study)
    (cell,) = catalog.cells_of_slide(services.database, slide.id)
    crop = read_own_png(catalog.crop_path(services.home, cell.id))

    assert receipt.accepted
    assert (cell.id, cell.x, cell.y, cell.origin) == (receipt.cell_id, 200.0, 150.0, "drawn")
    assert cell.crop_mpp == services.settings.crop_mpp
    # The disk of 30 px at .25 um/px fills a circle of 7.5 um in the middle of 64 um.
    dark = (crop.max(axis=2) < 150).sum() * cell.crop_mpp**2
    assert dark == pytest.approx(np.pi * 7.5**2, rel=0.1)
    assert crop[128, 128].max() < 150


def test_same_mark_sent_twice__is_one_cell_of_one_finder_in_the_chain(study) -> None:
    services, _, slide = study
    first, second = _mark(study, width_px=80.0, height_px=70.0), _mark(study, width_px=80.0, height_px=70.0)

    assert first == second
    with services.database.read() as session:
        (find,) = session.query(Find).all()
        events = [event for event in session.query(Event).all() if '"kind":"finds"' in event.body]
    assert (find.annotator, find.width_px, find.height_px) == ("ada", 80.0, 70.0)
    assert len(events) == 1
    assert '"by":"ada"' in events[0].body
    assert check_chain(services.database).problems == ()
    assert len(catalog.cells_of_slide(services.database, slide.id)) == 1


def test_mark_on_a_known_cell__names_it_instead_of_doubling_it(study) -> None:
    cell = _mark(study).cell_id
    again = _mark(study, who="ben", key="k2", x=208.0)

    assert not again.accepted
    assert again.cell_id == cell
    assert "2.0 um away" in again.reason


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"x": 410.0}, "400 x 300"),
        ({"x": -1.0}, "400 x 300"),
        ({"x": 390.0, "width_px": 40.0, "height_px": 40.0}, "leaves the slide"),
        ({"width_px": 300.0, "height_px": 60.0}, "more than one cell"),
        ({"width_px": 60.0, "height_px": 3.0}, "smaller than a nucleus"),
        ({"slide_id": "SL-other"}, "not in the catalogue"),
    ],
)
def test_bad_mark__is_refused_in_a_sentence_and_leaves_nothing(study, values, words: str) -> None:
    receipt = _mark(study, **values)

    assert not receipt.accepted
    assert words in receipt.reason
    assert catalog.counts(study[0].database).cells == 0


def test_key_of_another_mark__is_refused(study) -> None:
    _mark(study)
    other = _mark(study, x=60.0, y=60.0)

    assert not other.accepted
    assert "another mark" in other.reason
