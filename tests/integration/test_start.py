"""How soon a command begins: what it does not need is not imported."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "timm", "sklearn", "scipy.stats", "pandas", "streamlit", "skimage", "monai")


@pytest.mark.parametrize("name", ["users", "serve", "ingest", "detect", "imports", "doctor", "demo"])
def test_command__leaves_learning_libraries_alone(name: str) -> None:
    code = f"import sys, app.commands.{name}; print(*(word for word in {HEAVY} if word in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []
