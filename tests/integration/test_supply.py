"""The folder of wheels installs without a network and only unaltered; the list of parts is the lock."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def _run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


def _install(venv: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    # pip of the outer environment, as a bare one has it, and an index that nobody answers at.
    return _run(sys.executable, "-m", "pip", "--python", venv / "bin/python", "install", "--no-index", "--find-links",
                folder, "--require-hashes", *more, "-r", folder / "requirements.txt")  # fmt: skip


def test_wheelhouse__installs_by_hash_and_refuses_an_altered_wheel(tmp_path: Path) -> None:
    folder, venv = tmp_path / "wheels", tmp_path / "bare"
    built = _run(BIN / "uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable,
                 "--out-dir", folder, cwd=ROOT)  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert _run(sys.executable, ROOT / "scripts/wheelhouse.py", folder).returncode == 0
    assert _run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=folder).returncode == 0
    assert _run(sys.executable, "-m", "venv", "--without-pip", venv).returncode == 0
    installed = _install(venv, folder, "--no-deps")
    assert installed.returncode == 0, installed.stderr
    found = _run(
        venv / "bin/python", "-c", "import importlib.metadata as m; print(m.version('cytojepa'))", cwd=tmp_path
    )
    assert found.stdout.strip() == "0.1.0"
    wheel = next(folder.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    refused = _install(venv, folder, "--no-deps", "--force-reinstall")

    assert (refused.returncode, "DO NOT MATCH THE HASHES" in refused.stderr) == (1, True)
    assert _run(sys.executable, ROOT / "scripts/wheelhouse.py", tmp_path / "empty").returncode == 1


def test_sbom__is_the_lock_with_its_hashes(tmp_path: Path) -> None:
    made = _run(BIN / "cyclonedx-py", "requirements", "requirements.lock", "--output-reproducible", "--of", "JSON",
                "--sv", "1.6", "-o", tmp_path / "sbom.json", cwd=ROOT)  # fmt: skip
    assert made.returncode == 0, made.stderr
    sbom = json.loads((tmp_path / "sbom.json").read_text())
    pinned = set(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), flags=re.M))

    assert sbom["bomFormat"] == "CycloneDX"
    assert {(part["name"], part["version"]) for part in sbom["components"]} == pinned
    assert all(part["externalReferences"][0]["hashes"] for part in sbom["components"])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_make_wheelhouse__a_bare_environment_without_network(tmp_path: Path) -> None:
    """Gigabytes: needs the package index for gathering, none for installing."""
    made = _run("make", "wheelhouse", cwd=ROOT)
    if made.returncode != 0 and "No matching distribution" in made.stderr + made.stdout:
        pytest.skip("no package index at hand to gather the wheels from")
    assert made.returncode == 0, made.stderr
    venv = tmp_path / "bare"
    assert _run(sys.executable, "-m", "venv", "--without-pip", venv).returncode == 0
    installed = _install(venv, ROOT / "wheelhouse")
    assert installed.returncode == 0, installed.stderr
    without = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    checked = _run(venv / "bin/cytojepa", "users", "list", "--home", tmp_path / "home", env=without)

    assert (checked.returncode, checked.stdout.strip()) == (0, "no accounts")
