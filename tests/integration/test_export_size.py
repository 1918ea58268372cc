"""Memory of an export does not grow with the number of labels."""

from pathlib import Path

import pytest

from labeling.export import FORMATS
from tests.benchmarks.export import make_study, measure

SIZES = (10_000, 60_000)
"""Crops are small: what grows is asked of their number. As large as real ones, they were 17 GB to write and to hash."""


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    homes = {labels: tmp_path_factory.mktemp("size") / f"{labels}" for labels in SIZES}
    for labels, home in homes.items():
        make_study(home, labels, side_px=16)
    return homes


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FORMATS)
def test_export__memory_is_bounded(studies: dict[int, Path], tmp_path: Path, name: str) -> None:
    small, large = (measure(studies[labels], name, tmp_path) for labels in SIZES)

    assert small["rows"] < large["rows"]
    assert large["grown_mb"] < small["grown_mb"] + 40
