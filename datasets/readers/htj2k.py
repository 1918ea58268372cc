"""High-throughput JPEG 2000 (ISO/IEC 15444-15) for pydicom, by OpenJPEG (BSD-2-Clause), which imagecodecs brings along.

pydicom knows these transfer syntaxes (PS3.5 A.4.4) and asks for a library that is not installed here.
"""

import imagecodecs
from pydicom import uid
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

_SYNTAXES = (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
_NAME = "imagecodecs"
DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, (_NAME,))
"""As pydicom asks it of a plug-in."""


def is_available(syntax: str) -> bool:
    """Return whether frames of a transfer syntax are decoded here; the name is pydicom's."""
    return syntax in _SYNTAXES and bool(imagecodecs.JPEG2K.available)


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Decode a frame for pydicom.

    Args:
        source: A code stream.
        runner: What the header says; told where the decoder has done more than it says.

    Returns:
        Values row by row, colours of a pixel side by side.

    Raises:
        ValueError: The code stream is of another size or depth than the header says.
    """
    values = imagecodecs.jpeg2k_decode(source)
    samples = (runner.samples_per_pixel,) if runner.samples_per_pixel > 1 else ()
    if values.shape != (runner.rows, runner.columns, *samples) or values.dtype.kind not in "iu" or values.itemsize > 2:
        raise ValueError(f"a frame of {values.shape} values of {values.dtype}")
    runner.set_option("bits_allocated", 8 * values.dtype.itemsize)
    if samples:
        runner.set_option("planar_configuration", 0)
    if runner.photometric_interpretation in (PhotometricInterpretation.YBR_ICT, PhotometricInterpretation.YBR_RCT):
        runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    return bytes(values.tobytes())


def register() -> None:
    """Tell pydicom, once; a library that it finds by itself comes first."""
    for syntax in _SYNTAXES:
        decoder = get_decoder(syntax)
        if not decoder.is_available and is_available(syntax):
            decoder.add_plugin(_NAME, (__name__, decode_frame.__name__))
