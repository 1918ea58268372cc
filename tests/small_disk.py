"""A disk of a few megabytes, which a test can fill."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int, owner: int | None = None) -> Iterator[Path]:
    """Mount a disk on a new folder while the block lasts; skip where nothing may be mounted.

    Args:
        folder: Made here.
        megabytes: Room on it.
        owner: Number of the user to whom it belongs; None: whoever runs the tests.
    """
    folder.mkdir()
    options = f"size={megabytes}m,mode=0700,uid={os.getuid() if owner is None else owner}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, timeout=60).returncode:
        pytest.skip("no small disk: mounting one is not allowed here (it takes root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=60)


def fill(disk: Path) -> Path:
    """Put as many bytes on a disk as there is room for; return the file whose end makes room again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(b"x" * 4096)
    return ballast
