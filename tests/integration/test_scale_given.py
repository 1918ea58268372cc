"""A field whose file does not tell its scale: what is said, and the way out that is named."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cytojepa
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides


@pytest.mark.parametrize("stack", [[], ["--stack=1"]], ids=["field", "planes"])
def test_field_without_scale__gets_it_where_the_same_file_comes_again(tmp_path: Path, stack: list[str]) -> None:
    write_drawn_slides(tmp_path / "drawn", seed=3, num_slides=1)
    (tmp_path / "fields").mkdir()
    field = next((tmp_path / "drawn" / "images").iterdir()).read_bytes()
    for number in range(1 + len(stack)):
        (tmp_path / "fields" / f"{number}.png").write_bytes(field)
    home = tmp_path / "home"

    def say(*words: str) -> tuple[dict, str]:
        done = CliRunner().invoke(cytojepa, [*words, "--home", str(home), "--json"])
        return json.loads(done.stdout), done.stderr

    _, told = say("ingest", str(tmp_path / "fields"), *stack)
    assert "give the same files again with --mpp" in told
    searched, _ = say("detect")
    assert searched["cells"] == 0
    found, told = say("ingest", str(tmp_path / "fields"), *stack, f"--mpp={DRAWN_MPP}")
    assert (found["slides"], "1 fields that had no scale have one now" in told) == (0, True)
    searched, _ = say("detect")
    assert searched["cells"] > 5
    _, told = say("ingest", str(tmp_path / "fields"), *stack, "--mpp=0.5")
    assert "have one now" not in told  # the cells are cut: the scale stays
