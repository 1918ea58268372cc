"""Sentences that keep their pattern and values, so that a page can say them in its reader's language."""


class Told(str):
    """A sentence in English that still knows what it was made of; made by `told`."""

    pattern: str
    """Values stand in braces; the catalogue of the pages has it with its translation."""
    values: dict[str, object]


def told(pattern: str, /, **values: object) -> Told:
    """Make a sentence.

    Args:
        pattern: In English, such as "slide {slide}: not in the catalogue".
        values: What stands in its braces.
    """
    sentence = Told(pattern.format_map(values))
    sentence.pattern, sentence.values = pattern, values
    return sentence


def sentence_of(error: Exception) -> str:
    """Return what an error says; what `told` made is still that, which `str` of an error is not."""
    return error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
