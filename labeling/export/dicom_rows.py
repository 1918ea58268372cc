"""The rows behind the points of a DICOM annotation group, in a private block that the object itself describes.

The standard's attributes carry place, category and whose a label is; all else (when it was given, what was suggested,
keys, words) has none. So each item of the Annotation Group Sequence holds one private element:

    (0077,00xx) LO  CYTOJEPA LABELS
    (0077,xx01) UT  JSON, ASCII: {"columns": [names], "rows": [[values], ...]}, a row for each annotation, in order

What the block is stands in the object's Private Data Element Characteristics Sequence (PS3.3, C.12.1). It is marked
UNSAFE there: a doctor's comment is free text, so whoever de-identifies the object further takes the block out.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labeling.export.rows import COLUMNS, Row

if TYPE_CHECKING:
    from pydicom import Dataset

_GROUP, _CREATOR, _ELEMENT = 0x0077, "CYTOJEPA LABELS", 0x01
# ASCII, because only that is the same text in every character set that an archive may turn the object into.
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def text_of(labels: Sequence[Row]) -> str:
    """Return a group's rows as the text of its private element; the same rows give the same text."""
    return _ENCODER.encode({"columns": list(COLUMNS), "rows": [[row[name] for name in COLUMNS] for row in labels]})


def add_rows(group: "Dataset", text: str) -> None:
    """Put the text of a group's rows into its item."""
    group.private_block(_GROUP, _CREATOR, create=True).add_new(_ELEMENT, "UT", text)


def rows_in(group: "Dataset") -> list[dict[str, Any]]:
    """Return the rows that a group carries, without what is missing in them; none where no such block can be read."""
    try:
        value = group.private_block(_GROUP, _CREATOR)[_ELEMENT].value
        # An archive that stores implicit VR makes plain bytes of it.
        content = json.loads(value)
        columns = [name for name in content["columns"] if isinstance(name, str)]
        told = [dict(zip(columns, row, strict=True)) for row in content["rows"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return [{name: value for name, value in row.items() if value is not None} for row in told]


def characteristics() -> "Dataset":
    """Return the item that tells readers what the private block is."""
    from pydicom import Dataset

    element = Dataset()
    element.PrivateDataElement, element.PrivateDataElementValueMultiplicity = _ELEMENT, 1
    element.PrivateDataElementValueRepresentation = "UT"
    element.PrivateDataElementName, element.PrivateDataElementKeyword = "Label Rows", "LabelRows"
    element.PrivateDataElementDescription = (
        "The annotations of the group in their order, one row each, with when and how the label was given."
    )
    element.PrivateDataElementEncoding = 'JSON, ASCII: {"columns": [names], "rows": [[values], ...]}'
    block = Dataset()
    block.PrivateGroupReference, block.PrivateCreatorReference = _GROUP, _CREATOR
    block.PrivateDataElementDefinitionSequence = [element]
    block.BlockIdentifyingInformationStatus = "UNSAFE"
    return block


def place_of(row: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return where a row's annotation lies: by it the two are joined, also where a program has reordered them."""
    x, y = row.get("x_px"), row.get("y_px")
    return (x, y) if isinstance(x, float | int) and isinstance(y, float | int) else (None, None)
