"""DICOM Microscopy Bulk Simple Annotations (PS3.3 A.87): one object for each slide, points in pixels.

A group for each annotator and category, its points in pixels of the slide's total pixel matrix.
The categories carry codes of a private scheme, `99CYTOJEPA`, whose values are the ids of the label
set: no code of SNOMED CT is named that has not been checked to mean the same. Patient, study and
slide are the study's codes and UIDs made of them; nothing of the original identity is in the file.
"""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labeling.export.rows import Row, Study

if TYPE_CHECKING:
    from highdicom.ann import AnnotationGroup, MicroscopyBulkSimpleAnnotations
    from pydicom import Dataset

SCHEME = "99CYTOJEPA"
_SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage."""
_LONGEST_LABEL = 64


def write_dicom_folder(rows: Iterable[Row], out: Path, study: Study) -> None:
    """Write rows, which come slide by slide and all have a place, as `SLIDE.dcm` in a folder."""
    for slide_id, group in groupby(rows, key=lambda row: row["slide"]):
        labels = list(group)
        annotations = _annotations(slide_id, labels, study)
        annotations.save_as(out / f"{slide_id}.dcm")


def _annotations(slide_id: str, labels: list[Row], study: Study) -> "MicroscopyBulkSimpleAnnotations":
    from highdicom.ann import MicroscopyBulkSimpleAnnotations  # takes a second; only this format needs it

    order = sorted(labels, key=_group_of)
    groups = [
        _group(slide_id, number, key, list(members), study)
        for number, (key, members) in enumerate(groupby(order, key=_group_of), start=1)
    ]
    annotations = MicroscopyBulkSimpleAnnotations(
        source_images=[_slide(slide_id, labels[0])], annotation_coordinate_type="2D", annotation_groups=groups,
        series_instance_uid=_uid(slide_id, "annotations"), series_number=1,
        sop_instance_uid=_uid(slide_id, *(str(row["label_key"] or row["cell"]) for row in order)), instance_number=1,
        manufacturer="CytoJEPA", manufacturer_model_name="CytoJEPA", software_versions="1",
        device_serial_number="0", content_label="CELL_LABELS",
        content_description="Labels of cells. Research use only.",
    )  # fmt: skip
    # The same labels give the same bytes: the object is as old as its newest label.
    newest = max(row["made_at"] for row in labels)
    day, clock = newest[:10].replace("-", ""), newest[11:19].replace(":", "")
    annotations.ContentDate = annotations.InstanceCreationDate = day
    annotations.ContentTime = annotations.InstanceCreationTime = clock
    for equipment in annotations.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            equipment.ContributionDateTime = f"{day}{clock}"
    return annotations


def _group_of(row: Row) -> tuple[str, str]:
    return row["category"], row["annotator"] or row["kind"]


def _group(slide_id: str, number: int, key: tuple[str, str], labels: list[Row], study: Study) -> "AnnotationGroup":
    from highdicom.ann import AnnotationGroup
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    category, who = key
    name = next((c.name for c in study.label_set.categories if c.id == category), category)
    return AnnotationGroup(
        number=number, uid=_uid(slide_id, "group", *key), label=f"{category} ({who})"[:_LONGEST_LABEL],
        annotated_property_category=codes.SCT.AnatomicalStructure,
        annotated_property_type=CodedConcept(value=category[:16], scheme_designator=SCHEME, meaning=name[:64]),
        graphic_type="POINT",
        graphic_data=[np.array([[row["x_px"], row["y_px"]]], np.float64) for row in labels],
        algorithm_type="MANUAL",
    )  # fmt: skip


def _slide(slide_id: str, row: Row) -> "Dataset":
    """Return what the annotations refer to: the slide under its study code."""
    from pydicom import Dataset

    slide = Dataset()
    slide.SOPClassUID, slide.Modality = _SLIDE_CLASS, "SM"
    slide.StudyInstanceUID, slide.SeriesInstanceUID = _uid(slide_id, "study"), _uid(slide_id, "series")
    slide.SOPInstanceUID, slide.FrameOfReferenceUID = _uid(slide_id, "slide"), _uid(slide_id, "frame")
    slide.PatientID = slide.StudyID = slide.ContainerIdentifier = slide_id
    slide.PatientName = slide.PatientBirthDate = slide.PatientSex = slide.AccessionNumber = ""
    slide.StudyDate = slide.StudyTime = ""
    if row["slide_width_px"]:
        slide.TotalPixelMatrixColumns, slide.TotalPixelMatrixRows = row["slide_width_px"], row["slide_height_px"]
    return slide


def _uid(*parts: str) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=list(parts)))
