"""What `ingest` says in its few lines."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from subprocess import run

from app.commands.ingest import kinds_left_behind


def test_what_was_left_behind__names_kinds_but_counts_dicom_attributes() -> None:
    removed = Counter({"label picture": 2, "DICOM PatientName": 3, "DICOM StudyID": 1})

    assert kinds_left_behind(removed) == "label picture (2), 2 attributes of DICOM headers (3; --json names them)"


def test_ingest__names_of_any_bytes_are_told_on_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (b"line\nend \x1b[2J.txt", b"latin \xe9.txt", "naïve 日本 🔬.txt".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    command = [Path(sys.executable).with_name("cytojepa"), "ingest", folder, "--home", tmp_path / "home"]
    told = run(command, capture_output=True, timeout=300, check=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    lines = [line for line in told.stdout.decode().splitlines() if line.startswith("refused")]
    names = sorted(line.split(": neither")[0].removeprefix(f"refused {folder}/") for line in lines)

    assert names == ["latin \\udce9.txt", "line\\nend \\x1b[2J.txt", "naïve 日本 🔬.txt"]
    told = run([*command, "--json"], capture_output=True, timeout=300, check=True)
    assert len(json.loads(told.stdout)["refused"]) == 3
