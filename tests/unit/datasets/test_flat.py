"""Fields of every layout: read right, or refused with the fact and the way out."""

import gzip
import tarfile
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import tifffile
from PIL import Image

from datasets.errors import UnreadableFile
from datasets.readers.flat import read_picture
from datasets.synthetic import draw_slide

PICTURE = draw_slide(np.random.default_rng(4)).image[:200, :300]
GREY = PICTURE[..., :1].repeat(3, axis=2)


def _zip(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        archive.writestr("a.svs", "x")


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "im_Dyskeratotic/001.bmp")


def _tiff(path: Path, picture: np.ndarray, **options: object) -> None:
    tifffile.imwrite(path, np.ascontiguousarray(picture), metadata=None, **options)


def _pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path, byteorder=">") as tif:
        for level in range(2):
            tif.write(PICTURE[:: 1 << level, :: 1 << level], tile=(64, 64), compression="lzw", photometric="rgb",
                      subfiletype=level, metadata=None)  # fmt: skip


def _rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PICTURE).rotate(90, expand=True).save(path, "JPEG", exif=exif, quality=95, subsampling=0)


def _frames(path: Path, kind: str) -> None:
    frames = [Image.fromarray(PICTURE), Image.fromarray(255 - PICTURE)]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])


READ = {
    "planes apart": (
        lambda p: _tiff(p, np.moveaxis(PICTURE, 2, 0), photometric="rgb", planarconfig="separate"), PICTURE
    ),
    "strips, LZW": (lambda p: _tiff(p, PICTURE, photometric="rgb", rowsperstrip=16, compression="lzw"), PICTURE),
    "16-bit grey": (lambda p: _tiff(p, (GREY[..., 0].astype(np.uint16) - GREY.min()) * 200), None),
    "white is zero": (lambda p: _tiff(p, 255 - GREY[..., 0], photometric="miniswhite"), GREY),
    "big-endian pyramid": (_pyramid, PICTURE),
    "CMYK": (lambda p: Image.fromarray(PICTURE).convert("CMYK").save(p, "JPEG", quality=98), PICTURE),
    "palette": (lambda p: Image.fromarray(PICTURE).quantize(256).save(p, "PNG"), PICTURE),
    "turned by its EXIF": (_rotated, PICTURE),
    "one pixel": (lambda p: Image.fromarray(PICTURE[:1, :1]).save(p, "PNG"), PICTURE[:1, :1]),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_read_picture__every_layout_gives_its_pixels(tmp_path: Path, kind: str) -> None:
    write, truth = READ[kind]
    write(tmp_path / "a")
    found = read_picture(tmp_path / "a")
    if truth is None:  # stretched to the full range, so only the order of grey is kept
        assert np.corrcoef(found.ravel(), GREY.ravel())[0, 1] > 0.999
        truth = found
    assert found.shape == truth.shape
    assert np.abs(found.astype(int) - truth).mean() < 4


def test_read_picture__transparency_lies_on_white(tmp_path: Path) -> None:
    alpha = np.full(PICTURE.shape[:2], 255, np.uint8)
    alpha[:, 100:] = 0
    Image.fromarray(np.dstack([PICTURE, alpha])).save(tmp_path / "a", "PNG")
    found = read_picture(tmp_path / "a")
    assert np.array_equal(found[:, :100], PICTURE[:, :100])
    assert (found[:, 100:] == 255).all()


REFUSED = {
    "TIFF of planes": (
        lambda p: _tiff(p, np.stack([PICTURE, 255 - PICTURE]), photometric="rgb"), "holds 2 pictures.*--stack"
    ),
    "animated WebP": (lambda p: _frames(p, "WEBP"), "holds 2 pictures.*save each"),
    "animated PNG": (lambda p: _frames(p, "PNG"), "holds 2 pictures.*save each"),
    "12 of 16 bits, colour": (
        lambda p: _tiff(p, PICTURE.astype(np.uint16) * 16, photometric="rgb"), "end at 6% .*save it with 8 bits"
    ),
    "CIELAB": (lambda p: _tiff(p, PICTURE, photometric="cielab"), "LAB.*save it as 8-bit RGB"),
    "GIF": (lambda p: _frames(p, "GIF"), "known format.*convert it"),
    "ZIP": (lambda p: _zip(p), "an archive; unpack it"),
    "gzip": (lambda p: p.write_bytes(gzip.compress(b"x")), "an archive; unpack it"),
    "tar": (lambda p: _tar(p), "an archive; unpack it"),
    "RAR": (lambda p: p.write_bytes(b"Rar!\x1a\7\1\0" + bytes(600)), "an archive; unpack it"),
    "GeoJSON": (lambda p: p.write_text('\n{"type": "FeatureCollection"}'), "JSON, no picture.*--points"),
    "sections": (lambda p: p.write_text("[Virtual Specimen]\nNoLayers=1\n"), "neither a slide nor a picture"),
    "nothing": (Path.touch, "empty.*copy it again"),
    "half a JPEG": (
        lambda p: (Image.fromarray(PICTURE).save(p, "JPEG"), p.write_bytes(p.read_bytes()[:2000])),
        "truncated.*export it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_read_picture__refusal_names_the_fact_and_the_way_out(tmp_path: Path, kind: str) -> None:
    write, sentence = REFUSED[kind]
    write(tmp_path / "a")
    with pytest.raises(UnreadableFile, match=sentence) as refusal:
        read_picture(tmp_path / "a")
    assert str(tmp_path) not in refusal.value.reason
