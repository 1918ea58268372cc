"""What the forms of the page Jobs offer, and what they start."""

from pathlib import Path

import click
import pytest
from streamlit.testing.v1 import AppTest

from app import jobs
from app.cli import cytojepa
from app.encoders import open_encoder
from app.services import Services
from app.settings import Settings
from app.views import people
from app.words import words
from labeling.accounts import SignedIn

PAGE = Path(people.__file__).with_name("jobs.py")


@pytest.fixture
def services(tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    Settings(inbox=(str(tmp_path),)).save(home)
    opened = Services.open(home)
    yield opened
    opened.database.close()


@pytest.fixture
def started(services, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    found: list[list[str]] = []
    monkeypatch.setattr(people, "services", lambda: services)
    monkeypatch.setattr(people, "wording", lambda: words("en"))
    monkeypatch.setattr(people, "require", lambda right=None: SignedIn(name="mara", role="data-manager", csrf_token=""))
    monkeypatch.setattr(jobs, "start_job", lambda services, kind, words, by: found.append([kind, by, *words]))
    return found


def _press(page: AppTest, button: str) -> None:
    next(found for found in page.button if found.label == button).click()
    page.run()
    assert not page.exception


def _options(command: str) -> set[str]:
    found = cytojepa.get_command(click.Context(cytojepa), command)
    return {option for parameter in found.params for option in parameter.opts} if found else set()


def test_files__are_taken_in_as_on_the_command_line(services, started: list[list[str]], tmp_path: Path) -> None:
    page = AppTest.from_file(str(PAGE)).run()
    _press(page, "Take files in")
    for keep in ("--copy", "--move"):
        (scans,) = [box for box in page.selectbox if box.label == "Scans"]
        scans.set_value(keep)
        next(n for n in page.number_input if n.label.startswith("\u00b5m between")).set_value(1.5)
        _press(page, "Take files in")

    begin = ["ingest", "mara", "ingest", str(tmp_path)]
    assert started == [begin, [*begin, "--stack=1.5", "--copy"], [*begin, "--stack=1.5", "--move"]]
    assert {"--copy", "--move", "--stack", "--mpp"} <= _options("ingest")


def test_every_offered_encoder__can_be_opened_and_is_asked_for(services, started: list[list[str]]) -> None:
    page = AppTest.from_file(str(PAGE)).run()
    count = len(next(box for box in page.selectbox if box.label == "Encoder").options)
    for number in range(count):
        next(box for box in page.selectbox if box.label == "Encoder").select_index(number)
        _press(page, "Compute vectors")
    names = [words[-1] for words in started]

    assert names == ["default", "shipped", "handcrafted", "default+handcrafted", "shipped+handcrafted"]
    assert all(words[:4] == ["embed", "mara", "embed", "--encoder"] for words in started)
    assert len({open_encoder(services, name).fingerprint for name in names}) == 3  # no run yet: default is what ships


def test_choices_of_both_forms__explain_themselves(started: list[list[str]]) -> None:
    page = AppTest.from_file(str(PAGE)).run()

    assert {box.label for box in page.selectbox if box.help} == {"Scans", "Encoder"}
