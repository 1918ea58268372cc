"""Damaged and hostile files: each is read or refused with a reason, within its time, and the next one works."""

import io
import shutil
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from pydicom.uid import HTJ2KLossless

from app.intake import take_in
from app.services import Services
from datasets.decoded import DicomPart
from datasets.errors import UnreadableFile
from datasets.public import plan
from datasets.sandbox import Decoder
from datasets.synthetic import draw_slide
from tests.mirax_files import write_mirax
from tests.mutants import bombs, mutate
from tests.slide_files import (
    compressed,
    dicom_slide,
    single_frame,
    sparse,
    write_aperio,
    write_ndpi_stack,
    write_pyramid,
)

_WALL_SECONDS = 20.0
_SLACK_SECONDS = 40.0
_LARGEST = 3_000_000
"""Bytes of a slide that is written anew for each mutant."""


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    picture = draw_slide(np.random.default_rng(11)).image[:512, :512]
    write_aperio(folder / "a.svs", picture, mpp=0.25, texts="Date = 01/01/20")
    write_pyramid(folder / "b.tif", picture, mpp=0.25)
    write_ndpi_stack(folder / "d.ndpi", [picture], [0.0], mpp=0.25, restart=32)
    dicom_slide(picture[:256, :256], mpp=0.25).save_as(folder / "c.dcm", enforce_file_format=True)
    tiled = {"tile": (128, 128), "photometric": "rgb", "compression": "zlib"}
    tifffile.imwrite(folder / "e.tif", np.stack([picture] * 2), ome=True, metadata={"axes": "ZYXS"}, **tiled)
    tifffile.imwrite(folder / "f.tif", picture, byteorder=">", **tiled)
    small, planes_um = picture[:256, :256], (-1.0, 0.0, 1.0)
    write_ndpi_stack(folder / "g.ndpi", [small] * 3, list(planes_um), mpp=0.25, restart=32)
    frame = imagecodecs.htj2k_encode(small[..., 0])
    for name, header in (
        ("h.dcm", dicom_slide(small, mpp=0.25, planes_um=planes_um)),
        ("i.dcm", sparse(dicom_slide(small, mpp=0.25), {1})),
        ("j.dcm", compressed(single_frame(small[..., 0], "MONOCHROME2"), frame, HTJ2KLossless)),
    ):
        header.save_as(folder / name, enforce_file_format=True)
    write_mirax(folder / "k.mrxs", picture, mpp=0.25, words="Doe", unscanned=(1,))
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}
    for kind in ("png", "jpeg", "webp", "bmp", "tiff"):
        stream = io.BytesIO()
        Image.fromarray(picture[:200, :200]).save(stream, kind)
        files[f"field.{kind}"] = stream.getvalue()
    return files


def _try(decoder: Decoder, path: Path) -> str:
    """Do with a file what ingest does; returns "read" or the reason."""
    started = time.monotonic()
    try:
        kind = decoder.is_scan(path)
        if kind is True or (isinstance(kind, DicomPart) and kind.is_wsi):
            info = decoder.open_slide([path])
            decoder.read_region([path], 0, 0, min(512, info.size[0]), min(512, info.size[1]))
        else:
            decoder.read_picture(path)
        if isinstance(kind, DicomPart):
            decoder.deidentify(path, b"k" * 32)
        elif kind is True and path.suffix != ".mrxs":
            decoder.clean_tiff(path)
        outcome = "read"
    except UnreadableFile as error:
        outcome = error.reason
    # Up to five requests, each with its own limit; a mutant that hangs uses up one of them.
    assert time.monotonic() - started < _WALL_SECONDS + 4 * _SLACK_SECONDS
    return outcome


def _write(folder: Path, whole_files: dict[str, bytes], name: str, content: bytes) -> Path:
    """Write a file, with those of its scan where it has several; returns the one that is opened."""
    scan = f"{Path(name).parts[0].split('.')[0]}.mrxs"
    others = [other for other in whole_files if other == scan or other.startswith(f"{Path(scan).stem}/")]
    for other in others if scan in whole_files else []:
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(whole_files[other])
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / (scan if scan in whole_files else name)


def _run(whole_files: dict[str, bytes], folder: Path, count: int, seed: int) -> dict[str, str]:
    generator = np.random.default_rng(seed)
    outcomes = {}
    names = sorted(whole_files)
    with Decoder(wall_seconds=_WALL_SECONDS) as decoder:
        for number in range(count):
            name = names[number % len(names)]
            opened = _write(folder / str(number), whole_files, name, mutate(whole_files[name], generator))
            outcomes[f"{number}-{name}"] = _try(decoder, opened)
            shutil.rmtree(folder / str(number))
        for name in names:
            assert _try(decoder, _write(folder / "whole", whole_files, name, whole_files[name])) == "read"
    return outcomes


def _check(outcomes: dict[str, str]) -> None:
    refused = [reason for reason in outcomes.values() if reason != "read"]

    assert all(reason.strip() for reason in outcomes.values())
    # The mutants are neither all harmless nor all dead: both ways were walked.
    assert 0.2 < len(refused) / len(outcomes) < 0.95


def test_mutants__each_is_read_or_refused(whole_files: dict[str, bytes], tmp_path: Path) -> None:
    _check(_run(whole_files, tmp_path, count=1_500, seed=1))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mutants__many(whole_files: dict[str, bytes], tmp_path: Path) -> None:
    _check(_run(whole_files, tmp_path, count=8_000, seed=2))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mutants__many_of_real_slides(real_data: Path, tmp_path: Path) -> None:
    paths = [path for kind in ("svs", "dcm") for path in sorted((real_data / "wsi").rglob(f"*.{kind}"))]
    files = {f"{number}{path.suffix}": path for number, path in enumerate(paths) if path.stat().st_size < _LARGEST}
    with Decoder() as decoder:
        whole = {name: path.read_bytes() for name, path in files.items() if _try(decoder, path) == "read"}

    assert {Path(name).suffix for name in whole} == {".svs", ".dcm"}
    _check(_run(whole, tmp_path, count=2_000, seed=3))


def test_bombs__are_refused_and_the_rest_of_the_folder_comes_in(
    services: Services, whole_files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    hostile = bombs(whole_files["a.svs"])
    for name, content in hostile.items():
        (folder / name.replace(" ", "-")).write_bytes(content)
    (folder / "whole.svs").write_bytes(whole_files["a.svs"])
    report = take_in(services, plan(folder, "slides"), mpp=0.25).report
    refused = {path.name: reason for path, reason in report.refused}

    # Within the limits, or readable up to where it loops.
    harmless = {"png of 90 million pixels", "svs whose pages loop"}
    assert {name.replace(" ", "-") for name in hostile if name not in harmless} <= set(refused)
    assert "whole.svs" not in refused
    assert all(reason for reason in refused.values())


def test_child__that_dies_or_hangs_is_replaced(whole_files: dict[str, bytes], tmp_path: Path) -> None:
    good = tmp_path / "good.svs"
    good.write_bytes(whole_files["a.svs"])
    bad = tmp_path / "bad.svs"
    bad.write_bytes(bombs(whole_files["a.svs"])["svs with a tile of 2^31 rows"])
    with Decoder() as decoder:
        with pytest.raises(UnreadableFile):
            decoder.open_slide([bad])
        assert decoder.open_slide([good]).size == (512, 512)
    with Decoder(wall_seconds=0.01) as decoder, pytest.raises(UnreadableFile, match="took longer"):
        decoder.open_slide([good])


def test_child__is_confined(whole_files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "good.svs").write_bytes(whole_files["a.svs"])
    with Decoder() as decoder:
        decoder.open_slide([tmp_path / "good.svs"])
        child = decoder._child
        assert child is not None
        status = Path(f"/proc/{child.pid}/status").read_text()

    assert "NoNewPrivs:\t1" in status
