"""Facts about the tree itself: sizes, names, locks."""

import importlib.metadata
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "jepa", "labeling", "datasets")
FROM_OTHERS = ("openseadragon",)
"""Folders of what is shipped as others made it, with its licence beside it."""
FILES = sorted(
    path
    for name in (*PACKAGES, "tests")
    for path in (ROOT / name).rglob("*.*")
    if path.suffix in (".py", ".js", ".css") and path.parent.name not in FROM_OTHERS
)
LOCKS = (ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_length__at_most_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("folder", FROM_OTHERS)
def test_what_others_made__has_its_licence_beside_it(folder: str) -> None:
    (found,) = [path for name in PACKAGES for path in (ROOT / name).rglob(folder)]

    assert "Redistribution" in (found / "LICENSE.txt").read_text()


def test_foreign_datasets__is_not_installed() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("datasets")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_lock__pins_with_hashes_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    requirements = re.findall(r"^[a-z0-9].*", text, flags=re.M)

    assert "://" not in text
    assert all("==" in line for line in requirements)
    assert text.count("--hash=sha256:") >= len(requirements)
    assert "\ndatasets==" not in text


def test_lock__torch_and_torchvision_are_ordinary_builds() -> None:
    versions = dict(re.findall(r"^(torch|torchvision)==(\S+)", LOCKS[0].read_text(), flags=re.M))

    assert set(versions) == {"torch", "torchvision"}
    assert "+cpu" not in "".join(versions.values())


def test_names_in_app__never_shadow_a_package() -> None:
    names = {path.stem for path in (ROOT / "app").glob("*.py")} - {"__init__"}
    installed = {name.replace("-", "_") for d in importlib.metadata.distributions() if (name := d.name)}

    assert not names & {*PACKAGES, *installed}


def test_tests__have_no_package_files() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
