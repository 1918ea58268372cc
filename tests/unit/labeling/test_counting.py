"""How far the study is: counted on as counted anew, whatever is added."""

import random

import pytest
from sqlalchemy import func, select

from datasets import catalog
from datasets.bethesda import BETHESDA
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from labeling.answers import counts
from labeling.counting import Progress, ProgressCounter
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.mixture import FOIL_REASON
from labeling.records import IMPORTED, Label
from tests.studies import KINDS, home_of_kind

DOCTORS = ("ada", "ben", IMPORTED)


@pytest.fixture(params=KINDS)
def new_home(request, tmp_path, monkeypatch):
    yield from home_of_kind(request.param, request, tmp_path, monkeypatch)


def _anew(database, annotator: str) -> Progress:
    cells = select(func.count(Label.cell_id.distinct())).where(counts())
    with database.read() as session:
        return Progress(
            mine=session.scalar(cells.where(Label.annotator == annotator)),
            labelled=session.scalar(cells.where(Label.annotator != IMPORTED)),
            cells=session.scalar(select(func.count()).select_from(Cell)),
        )


def _cell(name: str) -> Cell:
    return Cell(id=name, slide_id="SL", origin="imported", added_at=utc_now())


def test_counter__counts_on_as_if_it_counted_anew(services) -> None:
    database, draw = services.database, random.Random(7)
    slide = Slide(id="SL", kind="cells", mpp=0.25, mpp_source="given", added_at=utc_now())
    names = [f"CE{n}" for n in range(6)]
    catalog.add(database, [slide], [_cell(name) for name in names])
    counter, keys = ProgressCounter(database), {name: [] for name in DOCTORS}
    for turn in range(40):
        for step in range(draw.choice([0, 1, 1, 3])):
            who, key = draw.choice(DOCTORS), f"{turn}-{step}"
            if who == IMPORTED or draw.random() < 0.2:
                reason = None if who == IMPORTED else FOIL_REASON
                row = Label(key=key, cell_id=draw.choice(names), annotator=who, category="NILM", made_at=utc_now(),
                            reason=reason)  # fmt: skip
                with database.write() as session:
                    session.add(row)
            elif keys[who] and draw.random() < 0.5:
                record(database, who, [UndoEvent(key=key, label_key=draw.choice(keys[who]))], label_set=BETHESDA)
            else:
                event = LabelEvent(key=key, cell_id=draw.choice(names), category="HSIL")
                assert record(database, who, [event], label_set=BETHESDA)[0].accepted
                keys[who].append(key)
        if turn % 9 == 5:
            names.append(f"new-{turn}")
            catalog.add(database, [], [_cell(names[-1])])

        assert [counter.of(who) for who in DOCTORS] == [_anew(database, who) for who in DOCTORS]
    assert counter.of("ada").mine > 0
    assert counter.of("nobody").mine == 0
