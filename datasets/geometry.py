"""Pixels and micrometres, converted in one place. Knows no files and no pictures."""

SMALLEST_MPP = 0.05
LARGEST_MPP = 4.0


def plausible_mpp(mpp: float | None) -> float | None:
    """Return the scale if a microscope could have made it, else None.

    Unknown scales arrive as absent, 0.0 or 1.0 by default, or as 352.8 from a 72-dpi tag; the
    range below keeps every scanner objective from 100x to 2.5x.

    Args:
        mpp: Micrometres per pixel, or None.
    """
    if mpp is None or not SMALLEST_MPP <= mpp <= LARGEST_MPP:
        return None
    return mpp


def um_to_px(length_um: float, mpp: float) -> float:
    """Convert micrometres to pixels at `mpp` micrometres per pixel."""
    return length_um / mpp


def px_to_um(length_px: float, mpp: float) -> float:
    """Convert pixels to micrometres at `mpp` micrometres per pixel."""
    return length_px * mpp
