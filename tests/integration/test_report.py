"""The study report: its figures are the study's and it needs nothing from elsewhere."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cytojepa
from app.services import Services
from app.study_report import write_report
from labeling.adjudication import VerdictEvent, decide
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.suggestions import newest_probe
from tests.builders import study_of_vectors

CANARY = "DOE JANE 4711"
FOREIGN = re.compile(r"""(?:src|href|action)\s*=|https?:|url\(|@import|<script|<link|<iframe""", re.IGNORECASE)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    services = study_of_vectors(tmp_path_factory.mktemp("report") / "home")
    cells = [f"CE-{n:013d}" for n in range(4)]
    events = [
        LabelEvent(key="again", cell_id=cells[0], category="SCC", comment=CANARY),
        LabelEvent(key="back", cell_id=cells[1], category="SCC"),
        UndoEvent(key="undo", label_key="back"),
    ]
    assert all(r.accepted for r in record(services.database, "ada", events, label_set=services.label_set))
    verdict = VerdictEvent(key="v", cell_id=cells[0], category="HSIL", comment=CANARY)
    assert decide(services.database, "vera", [verdict], label_set=services.label_set)[0].accepted
    yield services
    services.database.close()


@pytest.fixture(scope="module")
def page(study: Services, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "study.html"
    write_report(study, out)
    return out


def test_report__tells_what_the_study_holds(study: Services, page: Path) -> None:
    html = page.read_text()
    text = re.sub(r"<[^>]+>", " ", html)
    probe = newest_probe(study.database)

    assert "8 fields" in text
    assert "160 of 160" in text
    assert re.search(r"ada\s+160\s+1\s+1\s+4\.0", text), "labels, replaced, taken back, median seconds"
    assert "1 of vera" in text
    assert probe is not None
    assert probe.id in text
    assert "fingerprint drawn: 160 vectors of 3 numbers" in text
    assert re.search(r"ada and ben\s+\d\d %\s+0\.\d\d \(0\.\d\d to 0\.\d\d\)\s+160", text)
    error = re.search(
        r"expected calibration error (0\.\d+), on \d+ labels of slides left out; .* adds, (0\.\d+) \(", text
    )
    assert error, "with and without what chance adds"
    assert float(error[1]) == pytest.approx(probe.metrics["calibration_error"], abs=6e-4)
    assert float(error[2]) == pytest.approx(max(0, probe.metrics["squared_calibration_error"]) ** 0.5, abs=6e-4)
    assert html.count("<svg") == 2
    assert "Research use only" in text


def test_report__figures_grow_with_labels_and_bins_hold_every_cell(study: Services, page: Path) -> None:
    found = write_report(study, page)
    right = sum(b.right * b.cells for b in found.bins) / sum(b.cells for b in found.bins)

    assert [g.labels for g in found.growth][:3] == [10, 20, 40]
    assert found.growth[-1].balanced_accuracy > found.growth[0].balanced_accuracy
    assert all(g.low <= g.balanced_accuracy <= g.high for g in found.growth)
    assert right > 0.7
    assert all(b.low <= b.right <= b.high for b in found.bins)
    kappa = found.quality.agreement["kappa"]
    assert 0.4 < kappa.low < kappa.value < kappa.high < 0.9


def test_report__same_study_same_bytes_and_nothing_of_a_patient(study: Services, page: Path) -> None:
    first = page.read_bytes()
    write_report(study, page)

    assert page.read_bytes() == first
    assert CANARY.encode() not in first
    assert str(study.home).encode() not in first


def test_report__refers_to_nothing_outside(page: Path) -> None:
    assert FOREIGN.findall(page.read_text()) == []


def test_report__an_empty_study_has_one_that_says_so(tmp_path: Path) -> None:
    Services.open(tmp_path / "home").database.close()
    result = CliRunner().invoke(
        cytojepa, ["report", str(tmp_path / "r.html"), "--home", str(tmp_path / "home"), "--json"]
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["labels"] == 0
    assert "No doctor has labelled" in (tmp_path / "r.html").read_text()
