"""`agreement` tells what agreement rests on, in numbers that can be checked by hand."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.agreement_figures import measure
from app.cli import cytojepa
from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from labeling import adjudication
from labeling.labels import LabelEvent, record
from labeling.mixture import REPEAT
from labeling.records import Assignment, Label

ADA = ["NILM"] * 25 + ["LSIL"] * 25
BEN = ["NILM"] * 20 + ["LSIL"] * 5 + ["NILM"] * 10 + ["LSIL"] * 15


@pytest.fixture
def study(services: Services) -> Services:
    now = utc_now()
    slide = Slide(id="SL1", kind="cells", mpp=0.25, mpp_source="given", added_at=now)
    cells = [Cell(id=f"CE{n:03d}", slide_id="SL1", origin="imported", added_at=now) for n in range(60)]
    catalog.add(services.database, [slide], cells)
    for doctor, answers in (("ada", ADA), ("ben", BEN)):
        events = [LabelEvent(key=f"{doctor}{n}", cell_id=f"CE{n:03d}", category=x) for n, x in enumerate(answers)]
        record(services.database, doctor, events, label_set=services.label_set)
    return services


def test_agreement__kappa_of_two_doctors_with_pairs_and_interval(study: Services) -> None:
    found = measure(study).agreement

    assert found["kappa"].value == pytest.approx(0.4)
    assert (found["kappa"].pairs, found["kappa"].cells) == (50, 50)
    assert found["kappa"].low < 0.4 < found["kappa"].high
    assert found["NILM"].value == pytest.approx(0.4)
    assert found["SCC"].value is None
    # Two answers to each of 50 cells, marginals 25/25 and 30/20: observed .7, by chance .505.
    assert found["Fleiss' kappa"].value == pytest.approx((0.7 - 0.505) / 0.495)
    assert found["ASC-US and above"].value == found["LSIL and above"].value == pytest.approx(0.4)
    assert found["HSIL and above"].value is None


def test_agreement__a_doctor_against_himself_on_cells_that_came_back(study: Services) -> None:
    later = utc_now() + timedelta(days=3)
    again = ["NILM"] * 4 + ["LSIL"] + ["LSIL"] * 5
    cells = [*range(5), *range(25, 30)]
    with study.database.write() as session:
        for n, name in zip(cells, again, strict=True):
            cell = f"CE{n:03d}"
            session.add(Assignment(cell_id=cell, annotator="ada", arm=REPEAT, served_at=later))
            session.add(Label(key=f"again{n}", cell_id=cell, annotator="ada", category=name, made_at=later))
    found = measure(study).intra

    assert list(found) == ["ada"]
    assert (found["ada"].pairs, found["ada"].value) == (10, pytest.approx(0.8))


def test_agreement__as_one_json_object(study: Services, tmp_path: Path) -> None:
    result = CliRunner().invoke(cytojepa, ["agreement", "--home", str(study.home), "--json"])
    found = json.loads(result.stdout)

    assert result.exit_code == 0
    assert found["agreement"]["kappa"]["pairs"] == 50
    assert (found["stop"], found["arms"], found["second_look"]) == ([], None, [])
    assert "published" in CliRunner().invoke(cytojepa, ["agreement", "--home", str(study.home)]).stdout.lower()


def test_review__the_dispute_that_changes_most_comes_first(study: Services) -> None:
    for doctor, name in (("ada", "NILM"), ("ben", "SCC")):
        event = LabelEvent(key=f"{doctor}rare", cell_id="CE055", category=name)
        record(study.database, doctor, [event], label_set=study.label_set)
    found = adjudication.cases(study.database, include_imported=False)

    assert len(found) == 16
    assert found[0].cell_id == "CE055"
