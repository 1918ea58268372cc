"""Tiles read past OpenSlide: the same pixels, strict about damage; and the memory by which pixels leave the child."""

import gc
import mmap
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from app.intake import take_in
from app.services import Services
from datasets.errors import UnreadableFile
from datasets.public import FieldFile, Plan, Point
from datasets.readers.pyramid import PyramidReader
from datasets.readers.tiles import jpeg_levels
from datasets.sandbox import Decoder
from datasets.shared_memory import shared_memory
from datasets.synthetic import draw_slide
from tests.slide_files import write_aperio, write_ndpi_stack, write_pyramid


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return draw_slide(np.random.default_rng(8)).image[:900, :1200]


@pytest.fixture(params=["a.tif", "a.svs"])
def path(request: pytest.FixtureRequest, tmp_path: Path, picture: np.ndarray) -> Path:
    path = tmp_path / request.param
    if path.suffix == ".svs":
        write_aperio(path, picture, mpp=0.25, texts="")
    else:
        write_pyramid(path, picture, mpp=0.25, levels=3)
    return path


def test_tiles__are_what_openslide_reads_on_every_level(path: Path) -> None:
    generator = np.random.default_rng(0)
    with openslide.OpenSlide(path) as slide:
        tiles = jpeg_levels(path, list(slide.level_dimensions))
        for level, (width, height) in enumerate(slide.level_dimensions):
            for _ in range(6):
                left, top = (int(generator.integers(0, side - 40)) for side in (width, height))
                size = min(300, width - left), min(300, height - top)
                if level:  # OpenSlide moves regions of coarse levels by parts of a pixel: whole ones only
                    left, top = 0, 0
                truth = np.asarray(slide.read_region((left, top), level, size).convert("RGB"))
                assert np.array_equal(tiles.read(left, top, *size, level=level), truth)
        tiles.close()


def test_tiles__that_are_not_whole_are_left_to_openslide(path: Path) -> None:
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        start, length = page.dataoffsets[5], page.databytecounts[5]
    content = bytearray(path.read_bytes())
    content[start + length // 2 : start + length] = bytes(length - length // 2)
    path.write_bytes(content)
    reader = PyramidReader(path)
    sizes = [(level.width_px, level.height_px) for level in reader.info.levels]

    with closing(jpeg_levels(path, sizes)) as tiles:
        assert tiles.read(0, 0, 200, 200, level=0).shape == (200, 200, 3)
        with pytest.raises(UnreadableFile, match="not whole"):
            tiles.read(0, 256, 200, 200, level=0)
    # OpenSlide has the last word: it refuses what decodes to nothing whole and shows what happens to decode.
    with openslide.OpenSlide(path) as slide:
        try:
            truth = np.asarray(slide.read_region((0, 256), 0, (200, 200)).convert("RGB"))
        except openslide.OpenSlideError:
            with pytest.raises(UnreadableFile, match="damaged"):
                reader.read_region(0, 256, 200, 200, level=0)
        else:
            assert np.array_equal(reader.read_region(0, 256, 200, 200, level=0), truth)
    reader.close()


def test_tiles__other_pages_than_jpeg_tiles_are_left_to_openslide(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(picture, tile=(256, 256), compression="zlib", photometric="rgb", metadata=None)
    reader = PyramidReader(path)

    with pytest.raises(UnreadableFile, match="not every level"):
        jpeg_levels(path, [(1200, 900)])
    assert np.array_equal(reader.read_region(100, 100, 300, 200, level=0), picture[100:300, 100:400])
    reader.close()


def test_ndpi__strips_are_what_openslide_reads_and_a_damaged_one_is_told(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.ndpi"
    whole = np.ascontiguousarray(np.tile(picture[:896, :1024], (1, 2, 1)))
    write_ndpi_stack(path, [whole], [0.0], mpp=0.25, restart=64)
    with openslide.OpenSlide(path) as slide:
        truth = np.asarray(slide.read_region((300, 200), 0, (400, 300)).convert("RGB"))
    with Decoder() as decoder:
        assert np.array_equal(decoder.read_region([path], 300, 200, 400, 300), truth)

    content = bytearray(path.read_bytes())
    place = content.index(b"\xff\xd3", int(0.8 * len(content))) + 20  # inside the strip behind a restart mark
    content[place : place + 200] = b"\x55" * 200
    path.write_bytes(content)
    with Decoder() as decoder, pytest.raises(UnreadableFile, match="damaged"):
        decoder.open_slide([path])


def test_shared_memory__cannot_be_made_shorter_by_the_child() -> None:
    number, view = shared_memory(1 << 16)
    if number is None or view is None:
        pytest.skip("this kernel has no memfd")
    with mmap.mmap(number, 1 << 16) as written:
        written[:4] = b"abcd"
    for size in (0, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(number, size)
    os.close(number)

    assert view[:5] == b"abcd\0"
    view.close()


def test_regions__small_and_large_ones_come_back_whole(tmp_path: Path) -> None:
    picture = np.random.default_rng(3).integers(0, 255, (3500, 3600, 3), np.uint8)
    path = tmp_path / "noise.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(picture, tile=(512, 512), compression="zlib", photometric="rgb", metadata=None)
    with Decoder() as decoder:
        whole = decoder.read_region([path], 0, 0, 3600, 3500)  # more than the shared memory holds
        first = decoder.read_region([path], 10, 20, 300, 200)
        decoder.read_region([path], 1000, 1000, 300, 200)

    assert np.array_equal(whole, picture)
    assert np.array_equal(first, picture[20:220, 10:310]), "an answer is not changed by the next one"


def test_regions__asked_for_together_are_what_each_alone_is(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "z.ndpi"
    drawn = np.ascontiguousarray(picture[:896, :1024])
    planes = [drawn, drawn[::-1].copy(), 255 - drawn]
    write_ndpi_stack(path, planes, [-1.0, 0.0, 1.0], mpp=0.25, restart=32)
    places = [(int(x), int(y), z) for x, y in np.random.default_rng(6).integers(-90, 850, (9, 2)) for z in (-1.0, 0, 1)]
    with Decoder() as decoder:
        together = list(decoder.read_regions([path], places, 130, 70))
        alone = [decoder.read_region([path], x, y, 130, 70, z_um=z) for x, y, z in places]

        assert len(together) == 27
        assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
        assert list(decoder.read_regions([path], [], 130, 70)) == []


def test_points__in_a_damaged_tile_are_named_and_the_others_come_in(
    services: Services, tmp_path: Path, picture: np.ndarray
) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, np.tile(picture, (3, 3, 1)), mpp=0.25, levels=3)
    with tifffile.TiffFile(path) as tif:
        offset, size = tif.pages[0].dataoffsets[17], tif.pages[0].databytecounts[17]
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = bytes(size)
    path.write_bytes(bytes(content))
    # Tile 17 begins at 512, 256.
    points = tuple(Point(x=x, y=y, category="NILM") for x, y in ((130, 130), (640, 384), (130, 640), (1000, 130)))
    found = take_in(services, Plan(layout="slides", fields=(FieldFile(path=path, points=points),)))

    assert found.labels == 3
    assert [reason.split(":")[0] for _, reason in found.report.refused] == ["the point 640, 384"]


def test_tiles__that_a_region_takes_whole_are_not_kept_for_its_neighbours(path: Path) -> None:
    reader = PyramidReader(path)
    with closing(jpeg_levels(path, [(level.width_px, level.height_px) for level in reader.info.levels])) as tiles:
        whole = tiles.read(256, 256, 256, 256, level=0)
        assert not tiles._kept
        around = tiles.read(200, 200, 400, 400, level=0)

        assert len(tiles._kept) == 8, "all but the one in the middle"
        assert np.array_equal(around[56:312, 56:312], whole)
    reader.close()


def test_decoder__names_more_slides_than_stay_open_and_a_link_is_refused_later_too(path: Path) -> None:
    paths = [path.with_name(f"{n}{path.suffix}") for n in range(8)]
    for copy in paths:
        copy.write_bytes(path.read_bytes())
    with Decoder() as decoder:
        first, *others = (decoder.read_region([copy], 40, 50, 60, 70) for copy in paths)
        assert all(np.array_equal(first, other) for other in others)
        assert np.array_equal(first, decoder.read_region(paths[:1], 40, 50, 60, 70)), "opened anew by its number"
        paths[1].unlink()
        paths[1].symlink_to(path)
        with pytest.raises(UnreadableFile, match="links are not followed"):
            decoder.read_region(paths[1:2], 40, 50, 60, 70)


def test_decoder__that_is_forgotten_ends_its_child_but_not_in_a_fork(path: Path) -> None:
    decoder = Decoder()
    decoder.open_slide([path])
    child, fork = decoder.child_id, os.fork()
    if fork == 0:
        del decoder
        gc.collect()
        os._exit(0)
    os.waitpid(fork, 0)
    assert decoder.child_id == child

    del decoder
    gc.collect()
    assert not Path("/proc", str(child)).exists()
