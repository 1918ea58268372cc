"""Clean copies: the scan's pixels byte for byte, and nothing of the person, in any byte of the study."""

import errno
import fcntl
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from app.intake import take_in
from app.services import Services
from datasets import catalog, originals
from datasets.clean_tiff import text_segments
from datasets.copies import copies_of
from datasets.errors import UnreadableFile
from datasets.finding import find_cells
from datasets.public import plan
from datasets.sandbox import Decoder
from datasets.search_report import FindOptions
from datasets.synthetic import draw_slide
from tests.slide_files import dicom_slide, write_aperio, write_ndpi_stack

NAME, FILE = "CANARY^JANE", "Canary Jane 4711"
TRACES = [b"CANARY", b"Canary", b"MRN4711", b"19310203"]
TEXTS = f"Filename = {NAME}|User = MRN47110815|Date = 19310203|Barcode = MRN47110815"


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return draw_slide(np.random.default_rng(3)).image[:768, :1024]


def _holders(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [p.name for p in files if any(t in p.read_bytes() or t in p.name.encode() for t in TRACES)]


def _jpeg(tile: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(tile).save(stream, "JPEG", quality=90, comment=NAME.encode())
    return stream.getvalue()


def _write_planted_tiff(path: Path, picture: np.ndarray, **options: object) -> None:
    """Write a pyramid with words in every place that has room for them, also inside the tiles."""
    tags = [(315, "s", 0, NAME, True), (700, "B", 0, b"<x>MRN47110815</x>", True), (65000, "s", 0, "19310203", True)]
    with tifffile.TiffWriter(path, **options) as tif:  # type: ignore[arg-type]
        for level in range(2):
            size = (picture.shape[1] >> level, picture.shape[0] >> level)
            pixels = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if level else picture
            padded = np.pad(pixels, [(0, -size[1] % 256), (0, -size[0] % 256), (0, 0)], mode="edge")
            tiles = [_jpeg(padded[y : y + 256, x : x + 256])
                     for y in range(0, size[1], 256) for x in range(0, size[0], 256)]  # fmt: skip
            tif.write(iter(tiles), shape=pixels.shape, dtype=np.uint8, tile=(256, 256), compression="jpeg",
                      photometric="ycbcr", subsampling=(2, 2), subfiletype=level, metadata=None, software=NAME,
                      description=TEXTS, datetime="1931:02:03 19:31:02", extratags=tags,
                      resolution=(1e4 / 0.25, 1e4 / 0.25), resolutionunit="CENTIMETER")  # fmt: skip
        tif.write(picture[:200, :200], subfiletype=9, description=f"macro {NAME}", metadata=None)


def _pixels(decoder: Decoder, path: Path) -> list[np.ndarray]:
    levels = decoder.open_slide([path]).levels
    return [decoder.read_region([path], 0, 0, v.width_px, v.height_px, level=n) for n, v in enumerate(levels)]


def test_svs__its_copy_has_the_pixels_and_no_word(services: Services, tmp_path: Path, picture: np.ndarray) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / f"{FILE}.svs"
    write_aperio(path, picture, mpp=0.25, texts=TEXTS)
    intake = take_in(services, plan(folder, "slides"), keep="copy")
    slide = catalog.slides_with_pictures(services.database)[0]
    (copy,) = copies_of(services.home, slide.id)
    found = find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    services.database.close()

    assert (intake.report.slides, intake.report.refused, intake.report.referred) == (1, [], 0)
    assert found.cells > 5
    assert _holders(folder) == [path.name]
    assert _holders(services.home) == []
    assert not (services.home / originals.ORIGINALS_FILE).exists()
    assert {"label picture", "macro picture", "description"} <= set(intake.report.removed)
    with Decoder() as decoder:
        info, before = decoder.open_slide([copy]), _pixels(decoder, path)
        assert (info.format, info.mpp, info.objective) == ("aperio", 0.25, 40.0)
        assert all(np.array_equal(a, b) for a, b in zip(before, _pixels(decoder, copy), strict=True))


@pytest.mark.parametrize("options", [{"byteorder": "<"}, {"bigtiff": True}])
def test_tiff__of_every_kind_loses_its_words_also_inside_tiles(
    services: Services, tmp_path: Path, picture: np.ndarray, options: dict[str, object]
) -> None:
    path = tmp_path / f"{FILE}.tif"
    _write_planted_tiff(path, picture[:700, :900], **options)
    assert all(path.read_bytes().count(trace) for trace in TRACES if trace != b"Canary")
    intake = take_in(services, plan(path, "slides"), keep="copy")
    (copy,) = copies_of(services.home, catalog.slides_with_pictures(services.database)[0].id)
    services.database.close()

    assert intake.report.refused == []
    assert {"description", "software", "artist", "XMP", "other tags", "date", "comment inside tiles"} <= set(
        intake.report.removed
    )
    assert _holders(services.home) == []
    assert copy.stat().st_size < path.stat().st_size
    with Decoder() as decoder:
        pairs = zip(_pixels(decoder, path), _pixels(decoder, copy), strict=True)
        assert [np.array_equal(a, b) for a, b in pairs] == [True, True]
        assert decoder.open_slide([copy]).mpp == pytest.approx(0.25, rel=1e-6)


def test_ndpi__keeps_its_planes_and_loses_its_texts(services: Services, tmp_path: Path, picture: np.ndarray) -> None:
    planes = [cv2.GaussianBlur(picture, (0, 0), 3), picture, cv2.GaussianBlur(picture, (0, 0), 2)]
    path = tmp_path / f"{FILE}.ndpi"
    write_ndpi_stack(path, planes, [-1.0, 0.0, 1.0], mpp=0.25, words=f"{NAME} MRN47110815")
    assert path.read_bytes().count(b"CANARY") == 1
    intake = take_in(services, plan(path, "slides"), keep="copy")
    (copy,) = copies_of(services.home, catalog.slides_with_pictures(services.database)[0].id)
    services.database.close()

    assert intake.report.refused == []
    assert {"reference text", "property list"} <= set(intake.report.removed)
    assert _holders(services.home) == []
    with Decoder() as decoder:
        assert decoder.open_slide([copy]).z_um == (-1.0, 0.0, 1.0)
        for z_um in (-1.0, 0.0, 1.0):
            pair = [decoder.read_region([p], 0, 0, 1024, 768, z_um=z_um) for p in (path, copy)]
            assert np.array_equal(*pair)


def test_move__the_original_goes_when_the_copy_is_whole(
    services: Services, tmp_path: Path, picture: np.ndarray
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_aperio(folder / f"{FILE}.svs", picture, mpp=0.25, texts=TEXTS)
    take_in(services, plan(folder, "slides"))
    assert FILE in (services.home / originals.ORIGINALS_FILE).read_text()
    label = dicom_slide(picture[:256, :256], mpp=5.0, flavor="LABEL", series="1.2.3")
    label.save_as(folder / "label.dcm", enforce_file_format=True)
    dicom_slide(picture, mpp=0.25, series="1.2.3").save_as(folder / "volume.dcm", enforce_file_format=True)
    moved = take_in(services, plan(folder, "slides"), keep="move").report
    slides = catalog.slides_with_pictures(services.database)
    cells = find_cells(services.database, services.home, services.secret_key, FindOptions(side_um=64, side_px=256))
    services.database.close()

    assert (moved.slides, moved.moved, moved.refused) == (1, 2, [])
    assert [path.name for path in folder.iterdir()] == ["label.dcm"]
    assert [(path.name, "left where it is" in note) for path, note in moved.notes] == [("label.dcm", True)]
    assert (len(slides), cells.slides) == (2, 2)
    assert _holders(services.home) == []


def test_move__from_a_share_that_is_read_only_is_told_and_ends_nothing(
    services: Services, tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    for name, pixels in (("a", picture), ("b", picture[::-1])):
        write_aperio(share / f"{name}.svs", pixels, mpp=0.25, texts="")
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.parent == share:
            raise OSError(errno.EROFS, "Read-only file system", str(self))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    report = take_in(services, plan(share, "slides"), keep="move").report

    assert (report.slides, report.moved, report.refused) == (2, 0, [])
    assert [(path.name, "cannot be removed (Read-only" in note) for path, note in report.notes] == [
        ("a.svs", True), ("b.svs", True)
    ]  # fmt: skip


def test_copy__that_is_not_the_original_is_refused_and_nothing_is_removed(
    services: Services, tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.svs"
    write_aperio(path, picture, mpp=0.25, texts="")
    whole = Decoder.clean_tiff

    def damaged(self: Decoder, path: Path):
        clean = whole(self, path)
        clean.ranges[len(clean.ranges) // 2, 0] -= 40
        return clean

    monkeypatch.setattr(Decoder, "clean_tiff", damaged)
    report = take_in(services, plan(path, "slides"), keep="move").report

    assert report.slides == report.moved == 0
    assert [("copy" in reason) or ("damaged" in reason) for _, reason in report.refused] == [True]
    assert path.exists()
    assert not list((services.home / "slides").iterdir())


def test_other_formats__are_compressed_anew_and_their_originals_stay(
    services: Services, tmp_path: Path, picture: np.ndarray
) -> None:
    path = tmp_path / f"{FILE}.tif"
    with tifffile.TiffWriter(path) as tif:  # what OpenSlide takes for a Trestle slide
        tif.write(picture, tile=(256, 256), compression="jpeg", photometric="rgb", metadata=None,
                  software=f"MedScan {NAME}", description=f"Background Color=ffffff;Patient={NAME}")  # fmt: skip
    intake = take_in(services, plan(path, "slides"), mpp=0.25, keep="move")
    slide = catalog.slides_with_pictures(services.database)[0]
    (copy,) = copies_of(services.home, slide.id)
    services.database.close()

    assert (intake.report.refused, intake.report.moved) == ([], 0)
    assert any("trestle" in note and "compressed anew" in note for _, note in intake.report.notes)
    assert path.exists()
    assert _holders(services.home) == []
    with Decoder() as decoder:
        info = decoder.open_slide([copy])
        pair = [decoder.read_region([p], 200, 100, 700, 600) for p in (path, copy)]
    assert (info.format, info.size) == ("generic-tiff", (1024, 768))
    assert np.abs(pair[0].astype(int) - pair[1]).mean() < 3


@pytest.mark.parametrize("is_light", [True, False])
def test_burned_in_words__are_told(services: Services, tmp_path: Path, picture: np.ndarray, is_light: bool) -> None:
    field = picture.copy()
    cv2.rectangle(field, (0, 690), (1023, 767), (8, 8, 8) if is_light else (248, 248, 248), -1)
    color = (255, 255, 255) if is_light else (12, 12, 12)
    cv2.putText(field, f"{NAME} 1931-02-03", (20, 740), cv2.FONT_HERSHEY_SIMPLEX, 1.0, color, 2)
    Image.fromarray(field).save(tmp_path / "with.png")
    Image.fromarray(picture).save(tmp_path / "without.png")
    notes = take_in(services, plan(tmp_path, "slides"), mpp=0.25).report.notes

    assert [path.name for path, note in notes if "printed words" in note] == ["with.png"]


def test_text_segments__are_found_before_the_pixels_only() -> None:
    plain = io.BytesIO()
    Image.new("RGB", (16, 16)).save(plain, "JPEG")
    whole = _jpeg(np.full((64, 64, 3), 90, np.uint8))
    ((start, length),) = list(text_segments(whole))

    assert list(text_segments(plain.getvalue())) == []
    assert whole[start : start + length].rstrip(b"\0") == NAME.encode()
    assert list(text_segments(whole[: start + 4]))[-1] == (-1, 0)


def test_real_slides__copies_have_no_word_and_every_pixel(tmp_path: Path, real_data: Path) -> None:
    words = [b"ScanScope", b"Filename", b"NDP.scan", b"950291", b"Created=", b"label 387x463", b"CPAPERIOCS"]
    paths = [*(real_data / "wsi" / "aperio").iterdir(), *(real_data / "wsi" / "hamamatsu_ndpi").iterdir()]
    services = Services.open(tmp_path / "home")
    for path in paths:
        report = take_in(services, plan(path, "slides"), mpp=0.25, keep="copy").report
        assert (report.slides, report.refused) == (1, [])
    copies = [copies_of(services.home, s.id)[0] for s in catalog.slides_with_pictures(services.database)]
    services.database.close()

    assert sorted(path.suffix for path in copies) == [".ndpi", ".svs", ".svs"]
    assert any(word in path.read_bytes() for word in words for path in paths)
    assert not any(word in copy.read_bytes() for word in words for copy in copies)


def test_clean_tiff__a_slide_of_another_kind_is_refused(tmp_path: Path, picture: np.ndarray) -> None:
    dicom_slide(picture, mpp=0.25).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with Decoder() as decoder, pytest.raises(UnreadableFile):
        decoder.clean_tiff(tmp_path / "a.dcm")


def test_copy__removes_what_a_killed_one_has_left_and_not_the_draft_of_another_run(
    services: Services, tmp_path: Path, picture: np.ndarray
) -> None:
    (tmp_path / "in").mkdir()
    write_aperio(tmp_path / "in" / "a.svs", picture, mpp=0.25, texts=TEXTS)
    drafts = {name: services.home / "slides" / f".draft-{name}" for name in ("lost", "fresh", "held")}
    for draft in drafts.values():
        draft.mkdir(parents=True)
        (draft / "0001.svs").write_bytes(b"half of a scan")
    for name in ("lost", "held"):
        os.utime(drafts[name], (0, 0))
    held = os.open(drafts["held"], os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    take_in(services, plan(tmp_path / "in"), keep="copy")
    os.close(held)

    assert {name for name, draft in drafts.items() if draft.exists()} == {"fresh", "held"}
    assert len(list((services.home / "slides").glob("SL-*"))) == 1
