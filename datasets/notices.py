"""What readers and the search notice about a scan, as patterns.

A note is kept as its English sentence. `noticed` finds the pattern and the values again, so that a page can say it in
its reader's language.
"""

import re

from datasets.told import told

NO_SCALE = "its scale of {mpp} um/px is not one of a microscope and was left out"
NOT_SQUARE = (
    "its pixels are {x} x {y} um, not square: their mean is taken, so lengths and shapes are wrong; scan it anew for "
    "measuring"
)
_WRONG = "measure something of known size, and where the scale is wrong give the right one with --mpp and --mpp-wins"
OTHER_SCALE = "its scale of {mpp} um/px is taken, but it tells {other} um/px in another place: " + _WRONG
OTHER_LENS = "its scale of {mpp} um/px is taken, but its magnification of {lens} means about {other} um/px: " + _WRONG
GIVEN_LOST = "its file tells {mpp} um/px, which is taken and not the given {given}; --mpp-wins overrules a file"
GIVEN_WON = "its file tells {mpp} um/px; {given} was given at the import and is taken"
OTHER_LIGHTS = "of its {n} optical paths only the first is read"
MISSING_TILES = "{share} of its tiles are not in the file: shown grey, as what was not scanned"
LAID_OUT = "the header lacks {names}; repaired: its {n} frames were laid out row by row"
FALSE_COLORS = "declares RGB but holds YCbCr frames; repaired: colours were converted"
DARK = "its ground is dark: not bright field; nuclei cannot be found in it"
NOT_WHITE = "its ground is not white (channels differ by {spread} of 255): check the colours"
UNKNOWN_STEP = "the distance of its focal planes is not told: 1 um is taken"
OTHER_SCENES = "of its {n} scenes only the largest is read: save each in a file of its own"
DARK_TILES = "{n} of its {tiles} tiles are dark: nuclei are found as dark spots on a light ground"
NOISY_TILES = (
    "{n} of its {tiles} tiles hold as many light spots as dark ones, as noise, print and dirty glass do and "
    "smears do not"
)

NOTICES = (
    NO_SCALE, NOT_SQUARE, OTHER_SCALE, OTHER_LENS, GIVEN_LOST, GIVEN_WON, OTHER_LIGHTS, MISSING_TILES, LAID_OUT,
    FALSE_COLORS, DARK, NOT_WHITE, UNKNOWN_STEP, OTHER_SCENES, DARK_TILES, NOISY_TILES,
)  # fmt: skip
_VALUE = re.compile(r"\{(\w+)\}")


def _fits(pattern: str) -> re.Pattern[str]:
    words = _VALUE.split(pattern)  # texts and names of values in turn
    return re.compile("".join(f"(?P<{w}>.+)" if n % 2 else re.escape(w) for n, w in enumerate(words)))


_KNOWN = tuple((pattern, _fits(pattern)) for pattern in NOTICES)


def is_of(note: str, *patterns: str) -> bool:
    """Return whether a kept note was made of one of these patterns."""
    return any(fits.fullmatch(note) for pattern, fits in _KNOWN if pattern in patterns)


def noticed(note: str) -> str:
    """Return a kept note as `told` makes it; one of no known pattern as it is."""
    found = ((pattern, fits.fullmatch(note)) for pattern, fits in _KNOWN)
    return next((told(pattern, **match.groupdict()) for pattern, match in found if match), note)
