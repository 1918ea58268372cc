"""A hospital's folder: what systems leave in it is no slide, and what cannot be read is told."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datasets import files, originals
from datasets.errors import UnreadableFile
from datasets.files import refuse_links, sha256_of_each
from datasets.folders import files_below
from datasets.public import plan

LEFT = (".DS_Store", "Thumbs.db", "desktop.ini", "._a.svs", "~$list.xlsx", "__MACOSX/._a.svs", "@eaDir/a.svs/SYNO.jpg",
        "$RECYCLE.BIN/b.svs")  # fmt: skip


def test_files_below__without_what_systems_leave_and_without_loops(tmp_path: Path) -> None:
    for name in (*LEFT, "a.svs", "M\u00fcller/\u540d\u524d.svs"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    bad = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.svs"))  # a name in no known alphabet
    bad.write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.svs")
    found, closed = files_below(tmp_path)

    assert set(found) == {tmp_path / "a.svs", tmp_path / "M\u00fcller" / "\u540d\u524d.svs", bad}
    assert [(path, "a link to a folder" in reason) for path, reason in closed] == [(tmp_path / "loop", True)]


def test_class_folders__what_systems_leave_beside_them_is_no_class(tmp_path: Path) -> None:
    for name in ("HSIL/a.png", "NILM/b.png", "@eaDir/SYNO.jpg", "__MACOSX/._a.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")

    assert {cell.category for cell in plan(tmp_path).cells} == {"HSIL", "NILM"}


def test_folder__that_cannot_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.svs").write_bytes(b"x")
    (tmp_path / "theirs").mkdir()
    scandir = os.scandir

    def guarded(path: str) -> Iterator[os.DirEntry[str]]:  # tests may run as root, who may look everywhere
        if Path(path).name == "theirs":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = plan(tmp_path, "slides")

    assert [file.path.name for file in found.fields] == ["a.svs"]
    ((path, reason),) = found.refused
    assert path.name == "theirs"
    assert "Permission denied" in reason
    assert "run this again" in reason


def test_slide__that_is_written_while_it_is_read_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(b"half")
    whole = sha256_of_each([path])
    plain = files.sha256_of_file

    def meanwhile(path: Path) -> str:
        with path.open("ab") as stream:
            stream.write(b"more")
        return plain(path)

    monkeypatch.setattr(files, "sha256_of_file", meanwhile)
    with pytest.raises(UnreadableFile, match="changed while it was read"):
        sha256_of_each([path])
    monkeypatch.undo()
    assert sha256_of_each([path]) != whole


def test_file__that_is_gone_is_not_called_a_link(tmp_path: Path) -> None:
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnreadableFile, match="no longer there"):
        refuse_links(tmp_path / "gone")
    with pytest.raises(UnreadableFile, match="links are not followed"):
        refuse_links(tmp_path / "dead")


def test_originals__of_several_ingests_at_once_are_all_kept(tmp_path: Path) -> None:
    places = {f"SL-{number}": [tmp_path / f"{number}.svs"] for number in range(60)}
    for (path,) in places.values():
        path.touch()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda item: originals.remember(tmp_path, *item), places.items()))
        list(pool.map(lambda number: originals.forget(tmp_path, f"SL-{number}"), range(0, 60, 2)))

    known = json.loads((tmp_path / originals.ORIGINALS_FILE).read_text())
    assert sorted(known) == sorted(f"SL-{number}" for number in range(1, 60, 2))
    assert originals.files_of(tmp_path, "SL-7") == places["SL-7"]
