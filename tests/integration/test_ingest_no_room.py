"""The study's disk fills up while scans come in: told as that, and the next run goes on."""

import errno
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from app.cli import cytojepa
from datasets import ingest
from datasets.crops import encode_png


def test_full_disk__is_not_told_as_a_picture_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encode_png(np.full((40, 40, 3), 80 * number, np.uint8)))
    write, written = ingest.write_atomically, []

    def fill(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    words = ["ingest", str(tmp_path), "--mpp=0.25", f"--home={tmp_path / 'home'}"]
    monkeypatch.setattr(ingest, "write_atomically", fill)
    done = CliRunner().invoke(cytojepa, words)

    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert "make room on the study's disk, and run this again" in done.stderr
    assert "right to read" not in done.output
    assert "2 slides" in CliRunner().invoke(cytojepa, words).stdout
