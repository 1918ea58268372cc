"""Memory of an export does not grow with the number of labels."""

from pathlib import Path

import pytest

from labeling.export import FORMATS
from tests.benchmarks.export import make_study, measure


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_export__memory_is_bounded(tmp_path: Path, name: str) -> None:
    for labels in (10_000, 60_000):
        make_study(tmp_path / f"{labels}", labels)
    small, large = (measure(tmp_path / f"{labels}", name, tmp_path) for labels in (10_000, 60_000))

    assert small["rows"] < large["rows"]
    assert large["grown_mb"] < small["grown_mb"] + 40
