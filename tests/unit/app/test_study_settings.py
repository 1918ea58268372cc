"""What an admin changes is checked, told, and written without losing a word of the file."""

import json

import pytest
from sqlalchemy import select

from app.settings import SETTINGS_FILE, Settings
from app.study_settings import MEANING, TITLES, change_settings
from datasets.errors import SettingsError
from labeling.records import Event


def test_change__keeps_comments_and_is_told(services) -> None:
    path = services.home / SETTINGS_FILE
    path.write_text("# why we read twice\n[study]\nreads = 1  # agreed on 3 May\nlease_seconds = 300\n")
    change_settings(services.home, services.database, {"reads": 2, "lease_seconds": 300}, by="root")
    with services.database.read() as session:
        event = json.loads(session.scalars(select(Event.body)).one())

    assert path.read_text() == "# why we read twice\n[study]\nreads = 2  # agreed on 3 May\nlease_seconds = 300\n"
    assert (event["kind"], event["by"], event["facts"]) == ("settings changed", "root", {"reads": "1 -> 2"})


def test_first_change__writes_the_whole_file_with_its_sentences(services) -> None:
    change_settings(services.home, services.database, {"suggestions": "hidden"}, by="root")

    assert Settings.load(services.home).suggestions == "hidden"
    assert "# how many doctors decide each cell" in (services.home / SETTINGS_FILE).read_text()


@pytest.mark.parametrize("changes", [{"reads": 9}, {"crop_um": 32.0}, {"suggestions": "loud"}])
def test_nonsense__changes_nothing(services, changes) -> None:
    with pytest.raises(SettingsError):
        change_settings(services.home, services.database, changes, by="root")
    with services.database.read() as session:
        assert session.scalars(select(Event.body)).all() == []
    assert not (services.home / SETTINGS_FILE).exists()


def test_every_setting_that_may_change__exists() -> None:
    assert set(MEANING) == set(TITLES) <= set(Settings.__dataclass_fields__)
