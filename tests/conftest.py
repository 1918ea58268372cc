"""Fixtures for every floor: real data where it is at hand, a small study, a picture."""

import os
from pathlib import Path

import numpy as np
import pytest

from app.services import Services

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable) or ROOT.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"no {name} beside the checkout; set {variable} to its folder")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real cytology pictures; they are not part of the repository."""
    return _folder("CYTOJEPA_TEST_DATA", "data")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers of the published method; they are not part of the repository."""
    return _folder("CYTOJEPA_TEST_GOLDEN", "golden")


@pytest.fixture
def services(tmp_path: Path):
    """An open, empty workspace."""
    opened = Services.open(tmp_path / "home")
    yield opened
    opened.database.close()


@pytest.fixture
def picture() -> np.ndarray:
    """A field of 400 x 300 pixels with a dark disk at (200, 150) on bright ground."""
    field = np.full((300, 400, 3), 240, np.uint8)
    rows, columns = np.ogrid[:300, :400]
    field[(rows - 150) ** 2 + (columns - 200) ** 2 < 30**2] = (90, 60, 120)
    return field
