"""Files are on the disk before anything refers to them."""

from pathlib import Path

import pytest

from datasets import files


@pytest.mark.parametrize("count", [3, 250])
def test_sync_files__few_one_by_one_and_many_at_once(tmp_path: Path, monkeypatch, count: int) -> None:
    flushed = []
    monkeypatch.setattr(files, "sync_file", flushed.append)
    names = [f"{number:03d}" for number in range(count)]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    files.sync_files(tmp_path, names)

    assert len(flushed) == (count if count < 200 else 0)


def test_sync_files__a_refusal_of_the_system_is_an_error(tmp_path: Path, monkeypatch) -> None:
    class Full:
        def syncfs(self, _handle: int) -> int:
            return -1

    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: Full())
    monkeypatch.setattr(files.ctypes, "get_errno", lambda: 28)
    (tmp_path / "000").write_bytes(b"x")

    with pytest.raises(OSError, match="No space left") as caught:
        files.sync_files(tmp_path, ["000"] * 250)
    assert caught.value.errno == 28
