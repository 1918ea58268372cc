"""The main job on real pictures: Herlev in, pretraining, sixty labels by keyboard, suggestions for the rest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser_server import PASSWORD, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(7200)]
LABELS, STEPS = 60, 200
IMPORTED = "SELECT cell_id, category FROM labels WHERE annotator = 'imported'"


def cytojepa(home: Path, *arguments: str, text: str = "") -> dict:
    command = [sys.executable, "-m", "app.cli", *arguments, "--home", str(home), "--json"]
    return json.loads(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, input=text).stdout)


@pytest.fixture(scope="module")
def server(tmp_path_factory, real_data):
    home = tmp_path_factory.mktemp("herlev") / "home"
    assert cytojepa(home, "ingest", str(real_data / "herlev"))["cells"] == 917
    assert cytojepa(home, "pretrain", "--steps", str(STEPS))["steps"] == STEPS
    assert cytojepa(home, "embed")["cells"] == 917
    cytojepa(home, "users", "add", "ada", "--password-stdin", text=f"{PASSWORD}\n")
    running = Server(home)
    running.start()
    yield running
    running.kill()


def label_by_keyboard(page, server, number: int) -> list[tuple[str, str]]:
    """Answer cells as the data's own experts did; return what was on screen and what was answered."""
    truth = dict(server.rows(IMPORTED))
    keys = {name: str(place) for place, name in enumerate(
        ("normal_superficiel", "normal_intermediate", "normal_columnar", "light_dysplastic", "moderate_dysplastic",
         "severe_dysplastic", "carcinoma_in_situ"), start=1)}  # fmt: skip
    answered = []
    for _ in range(number):
        cell = page.get_attribute(".deck", "data-cell")
        answered.append((cell, truth[cell]))
        page.keyboard.press(keys[truth[cell]])
        page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    page.wait_for_selector(".deck[data-waiting='0']")
    return answered


def test_herlev__sixty_labels_become_suggestions_for_the_rest(page, server, capsys) -> None:
    answered = label_by_keyboard(page, server, LABELS)
    assert server.labels("ada") == answered
    assert len({cell for cell, _ in answered}) == LABELS

    fit = cytojepa(server.home, "fit")
    assert fit["labels"] == LABELS
    waiting = cytojepa(server.home, "worklist", "--annotator", "ada", "--limit", "1000")["items"]
    open_cells = {item["cell"] for item in waiting} - {cell for cell, _ in answered}
    assert len(open_cells) == 917 - LABELS
    assert all(item["suggestion"] for item in waiting if item["cell"] in open_cells)

    found = cytojepa(server.home, "evaluate", "--workspace", "--shots", "10,20")
    scores = {row["encoder"]: row["balanced_accuracy"] for row in found["doctors"]}
    lines = [f"{name:12} {value:.3f}" for name, value in [("chance", found["baselines"]["chance"]), *scores.items()]]
    with capsys.disabled():
        sys.stdout.write(f"\nbalanced accuracy on slides without a label, {LABELS} labels\n" + "\n".join(lines) + "\n")
    assert {"default", "size", "random"} <= set(scores)
    assert scores["default"] > found["baselines"]["chance"]
