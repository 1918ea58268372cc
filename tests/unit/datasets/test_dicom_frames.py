"""DICOM whose frames need more than decoding, or are not all there: the right picture, a note, or a refusal."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    MPEG2MPML,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    MicroscopyBulkSimpleAnnotationsStorage,
    generate_uid,
)

from datasets.crops import OUTSIDE
from datasets.errors import UnreadableFile
from datasets.quality import measure
from datasets.readers.dicom import read_single
from datasets.readers.dicom_headers import describe
from datasets.readers.sniff import open_slide
from datasets.sandbox import Decoder
from datasets.synthetic import draw_slide
from tests.slide_files import TILE, compressed, dicom_slide, single_frame, sparse

PICTURE = draw_slide(np.random.default_rng(4)).image[:256, :384]
GREY = np.repeat(PICTURE[..., 1:2], 3, axis=2)
PALETTE = Image.fromarray(PICTURE).quantize(256)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as one:
        yield one


def _palette() -> Dataset:
    header = single_frame(np.asarray(PALETTE), "PALETTE COLOR")
    colors = np.zeros((256, 3), np.uint16)
    told = np.array(PALETTE.getpalette(), np.uint16).reshape(-1, 3)
    colors[: len(told)] = told * 257
    for number, name in enumerate(("Red", "Green", "Blue")):
        setattr(header, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(header, f"{name}PaletteColorLookupTableData", colors[:, number].astype("<u2").tobytes())
    return header


@pytest.mark.parametrize(
    ("drawn", "truth"),
    [
        (lambda: single_frame(255 - GREY[..., 0], "MONOCHROME1"), GREY),
        (lambda: single_frame(65535 - GREY[..., 0].astype(np.uint16) * 257, "MONOCHROME1"), None),
        (_palette, np.asarray(PALETTE.convert("RGB"))),
    ],
    ids=["zero is white", "zero is white, 16 bits", "palette"],
)
def test_single__is_seen_as_it_was(tmp_path: Path, drawn: Callable[[], Dataset], truth: np.ndarray | None) -> None:
    header = drawn()
    if truth is None:
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit = 15
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    found = read_single(tmp_path / "a.dcm")

    if truth is None:  # stretched: the order of grey is kept
        assert np.corrcoef(found.ravel(), GREY.ravel())[0, 1] > 0.999
    else:
        assert np.array_equal(found, truth)


def test_single__of_a_compression_that_is_not_decoded_is_not_called_damaged(tmp_path: Path) -> None:
    header = single_frame(GREY[..., 0], "MONOCHROME2")
    compressed(header, b"\0" * 64, MPEG2MPML).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(UnreadableFile, match=r"MPEG2.*not decoded here; export it"):
        read_single(tmp_path / "a.dcm")


def test_single__without_a_picture_is_told_by_its_kind_and_not_called_damaged(tmp_path: Path) -> None:
    header = single_frame(GREY[..., 0], "MONOCHROME2")
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = MicroscopyBulkSimpleAnnotationsStorage
    for name in ("Rows", "Columns", "PixelData"):
        delattr(header, name)
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(UnreadableFile, match=r"without a picture \(Microscopy Bulk Simple Annotations Storage\)"):
        read_single(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K])
@pytest.mark.parametrize("kind", ["grey", "grey of 16 bits", "colours"])
def test_single__of_high_throughput_jpeg_2000_is_read(tmp_path: Path, decoder: Decoder, kind: str, syntax: UID) -> None:
    values = PICTURE if kind == "colours" else GREY[..., 0]
    header = single_frame(values, "MONOCHROME2")
    if kind == "colours":
        header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "YBR_RCT", 0
    if kind == "grey of 16 bits":
        values = values.astype(np.uint16) * 16
        header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    # OpenJPH writes what OpenJPEG reads: two programs of different people.
    frame = imagecodecs.htj2k_encode(values, reversible=True)
    compressed(header, frame, syntax).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    found = decoder.read_picture(tmp_path / "a.dcm")

    if kind == "grey of 16 bits":
        assert np.corrcoef(found[..., 0].ravel(), GREY[..., 0].ravel())[0, 1] > 0.999
    else:
        assert np.array_equal(found, values if kind == "colours" else GREY)


def test_single__of_damaged_jpeg_2000_is_refused(tmp_path: Path, decoder: Decoder) -> None:
    frame = imagecodecs.htj2k_encode(GREY[..., 0])
    smaller = imagecodecs.htj2k_encode(GREY[9:, :, 0])
    for name, damaged in (("short", frame[:40]), ("zeros", b"\0" * 64), ("smaller", smaller)):
        header = compressed(single_frame(GREY[..., 0], "MONOCHROME2"), damaged, HTJ2K)
        header.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        with pytest.raises(UnreadableFile, match="damaged"):
            decoder.read_picture(tmp_path / f"{name}.dcm")


def _parts(folder: Path, *, count: int) -> list[Path]:
    """Write a slide as a concatenation of so many files."""
    whole, uid = dicom_slide(PICTURE, mpp=0.25), generate_uid()
    frames = whole.NumberOfFrames // count
    size = frames * TILE * TILE * 3
    for number in range(count):
        part = copy.deepcopy(whole)
        part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        part.ConcatenationUID, part.SOPInstanceUIDOfConcatenationSource = uid, whole.SOPInstanceUID
        part.InConcatenationNumber, part.InConcatenationTotalNumber = number + 1, count
        part.ConcatenationFrameOffsetNumber, part.NumberOfFrames = number * frames, frames
        part.PixelData = whole.PixelData[number * size : (number + 1) * size]
        part.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return sorted(folder.glob("*.dcm"))


def test_concatenation__is_whole_in_any_order_and_a_missing_part_is_named(tmp_path: Path) -> None:
    first, second, third = _parts(tmp_path, count=3)
    reader = open_slide([third, first, second])
    assert np.array_equal(reader.read_region(0, 0, 384, 256, level=0), PICTURE)
    reader.close()
    for present, missing in (([first, third], 2), ([first, second], 3), ([second], 1)):
        with pytest.raises(UnreadableFile, match=f"part {missing} of the 3 files .*give the folder"):
            open_slide(present)


def test_slide__tells_what_it_does_not_show(tmp_path: Path) -> None:
    header = dicom_slide(PICTURE, mpp=0.25)
    header.NumberOfOpticalPaths, header.NumberOfFrames = 2, 2 * header.NumberOfFrames
    header.OpticalPathSequence.append(copy.deepcopy(header.OpticalPathSequence[0]))
    header.OpticalPathSequence[1].OpticalPathIdentifier = "2"
    header.PixelData = header.PixelData + bytes(len(header.PixelData))
    header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0.00025, 0.0005]
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    reader = open_slide([tmp_path / "a.dcm"])

    assert any("2 optical paths only the first" in note for note in reader.info.notes)
    assert any("0.5 x 0.25 um, not square" in note for note in reader.info.notes)
    assert np.array_equal(reader.read_region(0, 0, 384, 256, level=0), PICTURE)
    reader.close()


def test_focal_planes__in_files_of_their_own_are_read(tmp_path: Path) -> None:
    first = dicom_slide(PICTURE, mpp=0.25)
    second = dicom_slide(255 - PICTURE, mpp=0.25, series=first.SeriesInstanceUID)
    second.StudyInstanceUID, second.FrameOfReferenceUID = first.StudyInstanceUID, first.FrameOfReferenceUID
    second.TotalPixelMatrixOriginSequence[0].ZOffsetInSlideCoordinateSystem = 2.0
    coarse = dicom_slide(PICTURE[::2, ::2][:, :128], mpp=0.5, series=first.SeriesInstanceUID)
    coarse.StudyInstanceUID, coarse.FrameOfReferenceUID = first.StudyInstanceUID, first.FrameOfReferenceUID
    paths = [tmp_path / f"{number}.dcm" for number in range(3)]
    for path, header in zip(paths, (first, second, coarse), strict=True):
        header.save_as(path, enforce_file_format=True)
    assert [describe(path)["z_um"] for path in paths] == [0.0, 2.0, 0.0]
    reader = open_slide(paths)

    assert reader.info.z_um == (0.0, 2.0)
    assert np.array_equal(reader.read_region(0, 0, 384, 256, level=0), PICTURE)
    assert np.array_equal(reader.read_region(0, 0, 384, 256, level=0, z_um=2.0), 255 - PICTURE)
    assert reader.read_region(0, 0, 128, 128, level=1, z_um=2.0).shape == (128, 128, 3), "it has one plane only"
    reader.close()


@pytest.mark.parametrize("kind", ["colours", "grey of 16 bits"])
def test_sparse__what_has_no_frame_was_not_scanned(tmp_path: Path, kind: str) -> None:
    header = dicom_slide(PICTURE, mpp=0.25)
    if kind != "colours":
        values = np.frombuffer(header.PixelData, np.uint8).reshape(-1, 3)[:, 1].astype(np.uint16) * 100 + 9000
        header.PixelData, header.SamplesPerPixel = values.tobytes(), 1
        header.PhotometricInterpretation = "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
        del header.PlanarConfiguration
    sparse(header, {1, 5}).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    slide = open_slide([tmp_path / "a.dcm"])
    found = slide.read_region(0, 0, 384, 256, level=0)
    is_missing = np.zeros((256, 384), np.bool_)
    is_missing[:TILE, TILE : 2 * TILE] = is_missing[TILE:, 2 * TILE :] = True

    assert (found[is_missing] == OUTSIDE).all()
    there = found[~is_missing]
    if kind == "colours":
        assert np.array_equal(there, PICTURE[~is_missing])
    else:
        assert there.min() == 0
        assert np.corrcoef(there[:, 0], PICTURE[~is_missing][:, 1])[0, 1] > 0.999
    assert any("33% of its tiles are not in the file" in note for note in slide.info.notes)
    assert measure(found, 0.25).red == pytest.approx(measure(there[None], 0.25).red, abs=0.01)
    slide.close()


def test_scale__that_the_imaged_volume_contradicts_is_told(tmp_path: Path) -> None:
    header = dicom_slide(PICTURE, mpp=0.25)
    header.ImagedVolumeWidth *= 2.54
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    slide = open_slide([tmp_path / "a.dcm"])
    slide.close()

    assert any("tells 0.635 um/px in another place" in note for note in slide.info.notes)
