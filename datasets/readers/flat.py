"""Camera fields and single-cell pictures: PNG, JPEG, WebP, BMP, TIFF, decided by the bytes.

The format list is short on purpose: each decoder is attack surface. Metadata is not returned, so
nothing of it can be stored.
"""

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from datasets.errors import UnreadableFile

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"})
_DIM = 64
"""16-bit colours whose brightest is below a quarter come from a 12- or 14-bit camera and would be nearly black."""
_KNOWN = "SVS, NDPI, MRXS, DICOM and others that OpenSlide reads; " + ", ".join(FORMATS)
_CONVERT = "convert it to one of them, or leave it out"
_CUT = "save it as a pyramidal TIFF with tiles, or cut it into fields"
_ARCHIVES = (b"PK\3\4", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\7", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
"""First bytes of ZIP, gzip, 7z, RAR, bzip2, xz and Zstandard."""
_JSON_MARK = re.compile(rb"\s*[\[{]\s*([\[\]{}\"0-9-]|true|false|null|$)")
"""Begins JSON, and not a text with [sections]."""
_JSON = (
    "JSON, no picture; points of a slide come in with --points, labels with cytojepa import, other texts can stay out"
)
_TAR_MARK = slice(257, 262)
MAX_PIXELS = 100_000_000
"""Larger pictures are scans, not fields; also the guard against decompression bombs."""

Picture = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""


def read_picture(path: Path) -> Picture:
    """Decode one flat picture.

    Args:
        path: A regular file; its suffix does not matter.

    Returns:
        RGB, shape (H, W, 3), uint8, upright (the EXIF orientation is applied once, here).

    Raises:
        UnreadableFile: Empty, not one of the formats, damaged, larger than `MAX_PIXELS`, or several pictures.
    """
    if path.stat().st_size == 0:
        raise UnreadableFile("the file is empty; copy it again, or leave it out")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableFile(_too_large(image.width, image.height))
                _refuse_several(image)
                is_deep = ";16" in str(image.tile)  # how its values lie in the file
                picture = _to_rgb(ImageOps.exif_transpose(image))
                if is_deep and image.mode == "RGB":
                    _refuse_dim(picture)
                return picture
    except UnidentifiedImageError as error:
        with path.open("rb") as stream:
            head = stream.read(_TAR_MARK.stop)
            if head.startswith(_ARCHIVES) or head[_TAR_MARK] == b"ustar":
                raise UnreadableFile("an archive; unpack it and give the folder") from error
            if _JSON_MARK.match(head):
                raise UnreadableFile(_JSON) from error
        raise UnreadableFile(f"neither a slide nor a picture of a known format ({_KNOWN}); {_CONVERT}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableFile(f"more than {MAX_PIXELS / 1e6:.0f} million pixels; {_CUT}") from error
    except (OSError, ValueError, SyntaxError, Warning) as error:
        raise UnreadableFile(f"damaged: {error}; export it anew, or leave it out") from error


def _too_large(width: int, height: int) -> str:
    return f"{width} x {height} pixels, of which fields may have {MAX_PIXELS / 1e6:.0f} million; {_CUT}"


def _refuse_several(image: Image.Image) -> None:
    """Refuse a file of several pictures of one size: nobody would miss the others. Small versions of one are none.

    Raises:
        UnreadableFile: It holds several.
    """
    count, size = int(getattr(image, "n_frames", 1)), image.size
    for number in range(1, count):
        image.seek(number)
        if image.size == size:
            raise UnreadableFile(
                f"holds {count} pictures, of which only the first would be read; save each as a file of its own "
                "(focal planes: in a folder for --stack)"
            )
    if count > 1:
        image.seek(0)


def _to_rgb(image: Image.Image) -> Picture:
    if image.mode.startswith(("I", "F")):
        # 16-bit and float cameras: stretch to the full range instead of clipping to white.
        values = np.asarray(image, dtype=np.float64)
        span = float(np.ptp(values)) or 1.0
        grey = ((values - values.min()) / span * 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode not in _MODES:
        raise UnreadableFile(f"its colours are {image.mode}, which are not converted; save it as 8-bit RGB")
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode.upper())
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _refuse_dim(picture: Picture) -> None:
    """Refuse 16-bit colours of which the brightest would be dark.

    Raises:
        UnreadableFile: They end too low.
    """
    top = int(picture.max())
    if top < _DIM:
        raise UnreadableFile(
            f"its 16-bit colours end at {top / 255:.0%} of their range, so it would be nearly black; "
            "save it with 8 bits for each colour"
        )
