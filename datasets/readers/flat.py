"""Camera fields and single-cell pictures: PNG, JPEG, WebP, BMP, TIFF, decided by the bytes.

The format list is short on purpose: each decoder is attack surface. Metadata is not returned, so
nothing of it can be stored.
"""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from datasets.errors import UnreadableFile

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_KNOWN = "SVS, NDPI, MRXS, DICOM and others that OpenSlide reads; " + ", ".join(FORMATS)
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
        UnreadableFile: Empty, not one of the formats, damaged, or larger than `MAX_PIXELS`.
    """
    if path.stat().st_size == 0:
        raise UnreadableFile("the file is empty")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableFile(_too_large(image.width, image.height))
                return _to_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise UnreadableFile(f"neither a slide nor a picture of a known format ({_KNOWN})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableFile(f"more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except (OSError, ValueError, SyntaxError, Warning) as error:
        raise UnreadableFile(f"damaged: {error}") from error


def _too_large(width: int, height: int) -> str:
    return f"{width} x {height} pixels; fields may have {MAX_PIXELS / 1e6:.0f} million"


def _to_rgb(image: Image.Image) -> Picture:
    if image.mode.startswith(("I", "F")):
        # 16-bit and float cameras: stretch to the full range instead of clipping to white.
        values = np.asarray(image, dtype=np.float64)
        span = float(np.ptp(values)) or 1.0
        grey = ((values - values.min()) / span * 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"), dtype=np.uint8)
