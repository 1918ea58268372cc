"""What the page Progress tells of the study's figures."""

from dataclasses import asdict
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.agreement_figures import FIGURES_FILE
from app.services import Services
from app.views import people
from app.words import words
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from datasets.files import write_json
from labeling.accounts import SignedIn
from labeling.labels import LabelEvent, record
from labeling.records import Probe
from labeling.stopping import StopSignal

PAGE = Path(people.__file__).with_name("progress.py")
SIGNS = [
    StopSignal(category="NILM", labels=240, churn=0.004, gain=0.002, low=-0.003, high=0.007, advice="enough"),
    StopSignal(category="LSIL", labels=61.5, churn=0.081, gain=0.0312, low=0.012, high=0.05, advice="label more"),
    StopSignal(category="AIS", labels=3, churn=None, gain=None, low=None, high=None, advice="too early"),
]


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened = Services.open(tmp_path)
    now = utc_now()
    slide = Slide(id="SL1", kind="cells", mpp=0.25, mpp_source="given", added_at=now)
    catalog.add(opened.database, [slide], [Cell(id="CE1", slide_id="SL1", origin="imported", added_at=now)])
    record(
        opened.database,
        "ada",
        [LabelEvent(key="k1", cell_id="CE1", category="LSIL")],
        label_set=opened.label_set,
    )
    monkeypatch.setattr(people, "services", lambda: opened)
    monkeypatch.setattr(people, "require", lambda right=None: SignedIn(name="ada", role="annotator", csrf_token=""))
    yield opened
    opened.database.close()


@pytest.mark.parametrize(
    ("language", "told"),
    [("en", ["enough for now", "label more", "too early to say"]),
     ("de", ["vorerst genug", "mehr befunden", "zu fr\u00fch f\u00fcr eine Aussage"])],
)  # fmt: skip
def test_stop_signals__are_told_for_each_answer(
    services: Services, monkeypatch: pytest.MonkeyPatch, language: str, told: list[str]
) -> None:
    monkeypatch.setattr(people, "wording", lambda: words(language))
    before = AppTest.from_file(str(PAGE)).run()
    figures = {"agreement": {}, "intra": {}, "stop": [asdict(x) for x in SIGNS], "arms": None, "second_look": []}
    write_json(services.home / FIGURES_FILE, figures)
    page = AppTest.from_file(str(PAGE)).run()

    assert not before.exception
    assert not before.dataframe
    assert not page.exception
    table = page.dataframe[0].value
    assert table.iloc[:, 0].tolist() == ["NILM", "LSIL", "AIS"]
    assert table.iloc[:, 2].tolist() == told
    assert table.iloc[:, 3].tolist() == ["+0.2", "+3.1", "-"]
    assert table.iloc[:, 5].tolist() == ["0 %", "8 %", "-"]


def test_strange_cells__are_told_beside_the_suggestions(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "wording", lambda: words("en"))
    probe = Probe(id="p1", encoder_fingerprint="f1", last_label_id=1, num_labels=1, classes=["LSIL"], settings={},
                  metrics={}, made_at=utc_now())  # fmt: skip
    with services.database.write() as session:
        session.add(probe)
    figures = {"agreement": {}, "intra": {}, "stop": [], "arms": None, "second_look": []}
    warned = []
    for strange in (None, {"cells": 100, "strange": 40, "slides": ["SL-far"]}):
        write_json(services.home / FIGURES_FILE, figures | ({"strange": strange} if strange else {}))
        page = AppTest.from_file(str(PAGE)).run()
        assert not page.exception
        warned.append([warning.value for warning in page.warning])

    assert warned[0] == []
    assert "40 % of the cells" in warned[1][0]
    assert "SL-far" in warned[1][0]
