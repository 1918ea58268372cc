"""Tiled TIFF that OpenSlide does not read as what it is: the right pixels, levels, planes and scale, or a refusal."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from datasets.errors import UnreadableFile
from datasets.readers.sniff import is_scan, open_slide
from datasets.synthetic import draw_slide
from tests.slide_files import write_pyramid

PICTURE = draw_slide(np.random.default_rng(4)).image[:384, :512]
HALF = cv2.resize(PICTURE, (256, 192), interpolation=cv2.INTER_AREA)
PLANES = np.stack([cv2.blur(PICTURE, (9, 9)), PICTURE, cv2.blur(PICTURE, (5, 5))])
TILED = {"tile": (128, 128), "photometric": "rgb"}
SCALE = {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25, "PhysicalSizeZ": 1.5}


def _pyramid(path: Path, compression: str, *, is_big_endian: bool) -> None:
    options = {**TILED, "compression": compression, "metadata": None}
    with tifffile.TiffWriter(path, byteorder=">" if is_big_endian else "<") as tif:
        tif.write(PICTURE, resolution=(40_000, 40_000), resolutionunit="CENTIMETER", **options)
        tif.write(HALF, subfiletype=1, **options)


def _ome(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(PICTURE, subifds=1, compression="zlib", metadata={"axes": "YXS", **SCALE}, **TILED)
        tif.write(HALF, subfiletype=1, compression="zlib", **TILED)


DRAWN = {
    "big-endian": lambda path: _pyramid(path, "lzw", is_big_endian=True),
    "jpeg 2000": lambda path: _pyramid(path, "jpeg2000", is_big_endian=False),
    "ome, levels in SubIFDs": _ome,
}


@pytest.mark.parametrize("name", DRAWN)
def test_pyramid__has_its_levels_scale_and_pixels(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tif"
    DRAWN[name](path)
    assert is_scan(path)
    reader = open_slide([path])

    assert [(level.width_px, level.height_px) for level in reader.info.levels] == [(512, 384), (256, 192)]
    assert reader.info.mpp == pytest.approx(0.25)
    assert np.array_equal(reader.read_region(100, 50, 300, 200, level=0), PICTURE[50:250, 100:400])
    assert np.array_equal(reader.read_region(0, 0, 256, 192, level=1), HALF)
    reader.close()


def test_ome_planes__are_planes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(PLANES, compression="zlib", metadata={"axes": "ZYXS", **SCALE}, **TILED)
    reader = open_slide([path])

    assert reader.info.z_um == (-1.5, 0.0, 1.5)
    for plane, z_um in zip(PLANES, reader.info.z_um, strict=True):
        assert np.array_equal(reader.read_region(0, 0, 512, 384, level=0, z_um=z_um), plane)
    reader.close()


@pytest.mark.parametrize(("axes", "kind"), [("CYX", "colours apart"), ("IYXS", "pages")])
def test_several_pictures__are_refused(tmp_path: Path, axes: str, kind: str) -> None:
    path = tmp_path / "a.tif"
    pictures = np.moveaxis(PICTURE, 2, 0) if axes == "CYX" else PLANES
    photometric = {"photometric": "minisblack"} if axes == "CYX" else {}
    with tifffile.TiffWriter(path, ome=axes == "CYX") as tif:
        tif.write(np.ascontiguousarray(pictures), compression="zlib", **{**TILED, **photometric},
                  metadata={"axes": axes} if axes == "CYX" else None)  # fmt: skip

    assert is_scan(path)
    with pytest.raises(UnreadableFile, match=rf"3 pictures of one size \({kind}\)"):
        open_slide([path])


def test_scenes__of_which_one_is_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for scene in (PICTURE[:256, :384], PICTURE):
            tif.write(scene, compression="zlib", metadata=None, **TILED)
    reader = open_slide([path])

    assert reader.info.size == (512, 384)
    assert any("of its 2 scenes only the largest" in note for note in reader.info.notes)
    reader.close()


def test_pyramid__whose_tile_is_cut_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    _pyramid(path, "jpeg", is_big_endian=True)
    with tifffile.TiffFile(path) as tif:
        start, length = tif.pages[0].dataoffsets[0], tif.pages[0].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start + length // 2 : start + length] = b"\x55" * (length - length // 2)
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"damaged: a tile is not whole; save it anew"):
        open_slide([path])


def test_ome__that_names_another_file_does_not_get_it(tmp_path: Path) -> None:
    path, other = tmp_path / "a.tif", tmp_path / "other.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(PLANES, compression="zlib", metadata={"axes": "ZYXS", **SCALE}, **TILED)
    content = path.read_bytes()
    other.write_bytes(content)
    uuid = content[content.index(b"urn:uuid:") :][:45]
    start, end = content.index(b"<TiffData"), content.index(b"/>", content.index(b"<TiffData")) + 2
    named = b'<TiffData IFD="0" PlaneCount="1"/><TiffData FirstZ="1" IFD="1" PlaneCount="2"><UUID FileName="other.tif">'
    named += uuid[:-1] + b"x</UUID></TiffData>"
    xml = content[content.index(b"<?xml") : content.index(b"</OME>") + 6]
    tifffile.tiffcomment(path, xml.replace(content[start:end], named))

    assert is_scan(path)
    with pytest.raises(UnreadableFile, match="3 pictures of one size"):
        open_slide([path])


@pytest.mark.parametrize(
    ("mpp", "text", "told"),
    [
        (0.635, "Scanner X|Magnification = 40|", "magnification of 40 means about 0.25"),
        (0.0984, "objective: 40", "magnification of 40 means about 0.25"),
        (0.635, "PixelSize=0.25", "tells 0.25 um/px in another place"),
        (0.25, "Magnification = 40, PixelSize=0.25, 2024 x 1024", None),
        (0.2325, "objective power 20", None),  # with a camera adapter of 1.6 times
        (0.635, "objective 10, objective 40", None),  # which of them made it is not told
    ],
)
def test_scale__that_the_description_contradicts_is_told(
    tmp_path: Path, mpp: float, text: str, told: str | None
) -> None:
    write_pyramid(tmp_path / "a.tif", PICTURE, mpp=mpp, description=text)
    reader = open_slide([tmp_path / "a.tif"])
    reader.close()

    assert reader.info.mpp == pytest.approx(mpp, rel=1e-3)
    assert [told in note for note in reader.info.notes] == ([True] if told else [])


def test_scale__of_ome_that_tiff_contradicts_is_told(tmp_path: Path) -> None:
    for name, unit in (("a", "INCH"), ("b", "CENTIMETER")):
        with tifffile.TiffWriter(tmp_path / f"{name}.tif", ome=True) as tif:
            tif.write(PICTURE, metadata={"axes": "YXS", **SCALE}, resolution=(40_000, 40_000), resolutionunit=unit,
                      **TILED)  # fmt: skip
    first, second = (open_slide([tmp_path / f"{name}.tif"]) for name in "ab")
    first.close()
    second.close()

    assert "tells 0.635 um/px in another place" in first.info.notes[0]
    assert second.info.notes == ()
