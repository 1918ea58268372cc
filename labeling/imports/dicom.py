"""DICOM Microscopy Bulk Simple Annotations (PS3.3 A.87): ours and those of other programs on our slides.

The standard carries where, which category and whose; the rest of what this program wrote comes back from the
group's private block. A shape counts as the middle of its box.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.bethesda import LabelSet
from labeling.errors import LabelingError
from labeling.export.dicom_codes import category_of
from labeling.export.dicom_rows import place_of, rows_in
from labeling.imports.foreign import told_by
from labeling.imports.resolve import Found

if TYPE_CHECKING:
    from highdicom.ann import AnnotationGroup, MicroscopyBulkSimpleAnnotations


def read_annotations(path: Path, label_set: LabelSet) -> Iterator[Found]:
    """Yield the labels of an annotation object, or of all `.dcm` files of a folder.

    Raises:
        LabelingError: It is no such object.
    """
    import pydicom
    from highdicom.ann import MicroscopyBulkSimpleAnnotations  # takes a second; only this format needs it

    for file in sorted(path.glob("*.dcm")) if path.is_dir() else [path]:
        try:
            dataset = pydicom.dcmread(file)
            found = MicroscopyBulkSimpleAnnotations.from_dataset(dataset, copy=False)
            groups = list(found.get_annotation_groups())
        except (pydicom.errors.InvalidDicomError, ValueError, AttributeError, TypeError, KeyError) as error:
            raise LabelingError(f"{file.name}: not a DICOM object of simple annotations ({error}).") from error
        kind = str(found.AnnotationCoordinateType)
        uids = [str(item.ReferencedSOPInstanceUID) for item in found.get("ReferencedImageSequence", ())]
        place = {"slide_uid": uids[0] if uids else None, "slide": file.stem, "unclear": _strange_origin(found, kind)}
        for group in groups:
            yield from _labels(f"{file.name}, group {group.AnnotationGroupNumber}", group, kind, place, label_set)


def _strange_origin(found: "MicroscopyBulkSimpleAnnotations", kind: str) -> str | None:
    """Return why an object's points are no pixels of the whole slide, None where they are (PS3.3, C.37.1.1)."""
    if kind != "2D":
        return "its points are millimetres in space; it is needed with pixels of the slide (coordinate type 2D)."
    if str(found.get("PixelOriginInterpretation", "VOLUME")) == "FRAME":
        return "its points are counted from a frame of the slide; they are needed from the slide's corner (VOLUME)."
    return None


def _labels(
    where: str, group: "AnnotationGroup", kind: str, place: dict[str, str | None], label_set: LabelSet
) -> Iterator[Found]:
    code = group.annotated_property_type
    category = category_of(str(code.value), str(code.scheme_designator), label_set) or str(code.meaning)
    who = str(group.get("AnnotationGroupDescription", "")) or None
    values = {**place, "annotator": who, **({"kind": "reference"} if who == "reference" else {})}
    rows: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in rows_in(group):
        rows[place_of(row)].append(row)
    for number, points in enumerate(group.get_graphic_data(kind), start=1):
        outline = np.asarray(points, np.float64).reshape(-1, np.shape(points)[-1])
        has_place = kind == "2D" and len(outline) > 0
        x, y = ((outline.min(axis=0) + outline.max(axis=0)) / 2).tolist() if has_place else (None, None)
        same = rows[x, y]
        told = same.pop(0) if same else {}
        yield told_by(f"{where}, annotation {number}", told, category, {**values, "x_px": x, "y_px": y})
