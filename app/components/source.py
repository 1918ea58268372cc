"""Front-end sources: plain JavaScript and CSS files, joined in order. No build step, no network.

A component is one ES module; Streamlit loads it from memory, where a module cannot import its
neighbours. So shared files have no exports of their own and are put in front.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent


def joined(*names: str) -> str:
    """Return files of this folder as one text.

    Args:
        names: Relative to `app/components`, in the order in which they are to run.
    """
    return "\n".join((_FOLDER / name).read_text() for name in names)
