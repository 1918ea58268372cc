"""The study on Herlev, command by command from the text of its page."""

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from datasets.bethesda import HERLEV
from tests.docs_text import DOCS, blocks

PER_CLASS = 12
CLASSES = [name for name in HERLEV.class_ids if name != "not-a-cell"]
STEPS = [line for text in blocks(DOCS / "herlev.md", "sh") for line in text.splitlines()]


def _draw(folder: Path) -> None:
    """Draw cells of each class of Herlev, named as Herlev names them; the nucleus tells the class."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for cell in range(PER_CLASS):
            picture = generator.integers(200, 230, (80, 80, 3)).astype(np.uint8)
            cv2.circle(picture, (40, 40), 4 + 4 * number + cell % 2, (120, 50 + 10 * number, 80), -1)
            cv2.imwrite(str(folder / name / f"{number + 1}-{cell}-001.png"), picture)


def _follow(folder: Path, minutes: float, patience_seconds: float) -> None:
    """Run every line of the page in one shell, except the server, which is started, asked and stopped."""
    environment = {k: v for k, v in os.environ.items() if k != "CYTOJEPA_HOME"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    setup = "set -eu; " + "; ".join(line for line in STEPS if line.startswith("export "))
    setup = setup.replace("MINUTES=1", f"MINUTES={minutes}")
    for line in (line for line in STEPS if not line.startswith("export ")):
        command = ["bash", "-c", f"{setup}; exec {line}"]
        if " serve" in line:
            _serve(command, folder, environment, line.split()[-1])
            continue
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
                              timeout=patience_seconds)  # fmt: skip
        assert done.returncode == 0, (line, done.stderr[-1500:])


def _serve(command: list[str], folder: Path, environment: dict[str, str], port: str) -> None:
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                try:
                    answer = httpx.get(f"http://127.0.0.1:{port}/health")
                except httpx.TransportError:
                    time.sleep(0.2)
                else:
                    assert answer.json() == {"ok": True}
                    return
            pytest.fail("the server of the page did not answer")
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_page__every_command_runs_on_drawn_cells(tmp_path: Path) -> None:
    _draw(tmp_path / "herlev")
    _follow(tmp_path, 0.02, 600)

    assert "<svg" in (tmp_path / "report.html").read_text()
    assert len((tmp_path / "labels.csv").read_text().splitlines()) > len(CLASSES) * PER_CLASS
    assert len(list((tmp_path / "crops").rglob("*.png"))) == len(CLASSES) * PER_CLASS
    assert (tmp_path / "encoder.safetensors").stat().st_size > 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_page__every_command_runs_on_herlev(tmp_path: Path, real_data: Path) -> None:
    (tmp_path / "herlev").symlink_to(real_data / "herlev")
    _follow(tmp_path, 1, 1800)

    assert len(list((tmp_path / "crops").rglob("*.png"))) == 917
