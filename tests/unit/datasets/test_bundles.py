"""DICOM instances are put together by what their headers say."""

from pathlib import Path

from datasets.bundles import sort_files
from datasets.public import FieldFile
from datasets.sandbox import DicomPart


class _Headers:
    """Stands for the sandbox: answers from a table."""

    def __init__(self, parts: dict[str, DicomPart | bool]) -> None:
        self._parts = parts

    def is_scan(self, path: Path) -> DicomPart | bool:
        return self._parts[path.name]


def _part(size: tuple[int, int], *, series: str = "1", flavor: str = "VOLUME", concatenation: str = "",
          frame: str = "5", z_um: float = 0.0) -> DicomPart:  # fmt: skip
    return DicomPart(series=series, is_wsi=True, flavor=flavor, size=size, concatenation=concatenation, frame=frame,
                     z_um=z_um)  # fmt: skip


def _sort(folder: Path, parts: dict[str, DicomPart | bool]):
    for name in parts:
        (folder / name).write_bytes(b"something that is no picture")
    return sort_files([FieldFile(path=folder / name) for name in parts], _Headers(parts))


def test_sort_files__levels_of_a_series_are_one_slide(tmp_path: Path) -> None:
    found = _sort(tmp_path, {"a": _part((400, 300)), "b": _part((200, 150)), "c": _part((90, 80), series="2")})

    assert sorted(sorted(p.name for p in scan.paths) for scan in found.scans) == [["a", "b"], ["c"]]


def test_sort_files__two_pictures_of_one_size_are_two_slides(tmp_path: Path) -> None:
    found = _sort(tmp_path, {"a": _part((400, 300)), "b": _part((400, 300))})

    assert [len(scan.paths) for scan in found.scans] == [1, 1]


def test_sort_files__focal_planes_in_files_of_their_own_are_one_slide(tmp_path: Path) -> None:
    found = _sort(tmp_path, {"a": _part((400, 300)), "b": _part((400, 300), z_um=2.0), "c": _part((200, 150))})
    assert [len(scan.paths) for scan in found.scans] == [3]

    found = _sort(tmp_path, {"a": _part((400, 300)), "b": _part((400, 300), z_um=2.0, frame="6")})
    assert [len(scan.paths) for scan in found.scans] == [1, 1], "two glasses"


def test_sort_files__parts_of_a_concatenation_stay_together(tmp_path: Path) -> None:
    found = _sort(
        tmp_path, {"a": _part((400, 300), concatenation="9"), "b": _part((400, 300), concatenation="9")}
    )  # fmt: skip

    assert [len(scan.paths) for scan in found.scans] == [2]


def test_sort_files__label_and_overview_are_dropped_and_told(tmp_path: Path) -> None:
    found = _sort(
        tmp_path,
        {"a": _part((400, 300)), "b": _part((50, 50), flavor="LABEL"), "c": _part((90, 50), flavor="OVERVIEW")},
    )

    assert [p.name for p in found.scans[0].paths] == ["a"]
    assert [kind for _, kind in found.dropped] == ["label picture", "overview picture"]


def test_sort_files__a_mirax_file_is_a_slide_though_it_is_a_jpeg(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "Slidedat.ini").write_text("[GENERAL]")
    (tmp_path / "m.mrxs").write_bytes(b"\xff\xd8\xff\xe0")
    found = sort_files([FieldFile(path=tmp_path / "m.mrxs")], _Headers({}))

    assert [scan.paths[0].name for scan in found.scans] == ["m.mrxs"]
