"""Fixtures for every floor: real data where it is at hand, a small study, a picture."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.preparing import prepare
from app.services import Services
from tests.postgresql import APP, Server
from tests.studies import BUILT_IN, home_of_kind

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable) or ROOT.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"no {name} beside the checkout; set {variable} to its folder")
    return folder


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """Streamlit's tests of pages leave a page as the main module, which every process started later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real cytology pictures; they are not part of the repository."""
    return _folder("CYTOJEPA_TEST_DATA", "data")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers of the published method; they are not part of the repository."""
    return _folder("CYTOJEPA_TEST_GOLDEN", "golden")


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server of the tests' own."""
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="session")
def study_template(server: Server) -> str:
    """Name of a database with the tables of a study and the rights of the account that works on it."""
    url = server.database()
    prepare(url, app_role=APP)
    assert url.database is not None
    return url.database


@pytest.fixture
def new_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The folder of a study that is yet to be opened: `@on_both` runs a test with each kind of database."""
    yield from home_of_kind(getattr(request, "param", BUILT_IN), request, tmp_path, monkeypatch)


@pytest.fixture
def services(new_home: Path):
    """An open, empty workspace."""
    opened = Services.open(new_home)
    yield opened
    opened.database.close()


@pytest.fixture
def picture() -> np.ndarray:
    """A field of 400 x 300 pixels with a dark disk at (200, 150) on bright ground."""
    field = np.full((300, 400, 3), 240, np.uint8)
    rows, columns = np.ogrid[:300, :400]
    field[(rows - 150) ** 2 + (columns - 200) ** 2 < 30**2] = (90, 60, 120)
    return field
