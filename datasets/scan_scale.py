"""Which scale a scan has in the study: its file's, or the one that was given."""

from dataclasses import replace

from datasets.errors import UnreadableFile
from datasets.intake_report import IngestOptions
from datasets.notices import GIVEN_LOST, GIVEN_WON, OTHER_LENS, OTHER_SCALE, is_of
from datasets.readers.base import SlideInfo
from datasets.told import told

_SAME = 0.005
"""Scales that differ by less are rounded."""


def is_same_scale(one: float, other: float) -> bool:
    """Return whether two scales in um/px differ by rounding alone."""
    return abs(one / other - 1) < _SAME


def with_scale(
    info: SlideInfo, options: IngestOptions, known: tuple[float, str] | None = None
) -> tuple[SlideInfo, float, str]:
    """Return a scan's facts with what must be told of its scale, the scale in um/px, and where it is from.

    Args:
        info: What its file tells; the scale in it stays the file's.
        options: The given scale, which counts where the file tells none or where it is to win.
        known: What the study has for it already: cells are cut by that.

    Raises:
        UnreadableFile: There is none.
    """
    if known is not None:
        return info, *known
    given = options.mpp
    if info.mpp is None:
        if given is None:
            notes = "".join(f"{note}; " for note in info.notes)
            raise UnreadableFile(f"{notes}no scale in the file: give it with --mpp, or leave the slide out")
        return info, given, "given"
    if given is None or is_same_scale(given, info.mpp):
        return info, info.mpp, "file"
    values = {"mpp": f"{info.mpp:.4g}", "given": f"{given:.4g}"}
    if not options.mpp_wins:
        return replace(info, notes=(*info.notes, told(GIVEN_LOST, **values))), info.mpp, "file"
    # Doubts about a scale that no longer counts would ask for what was just given.
    left = [note for note in info.notes if not is_of(note, OTHER_SCALE, OTHER_LENS)]
    return replace(info, notes=(*left, told(GIVEN_WON, **values))), given, "given"
