"""DICOM Microscopy Bulk Simple Annotations (PS3.3 A.87): one object for each slide, points in pixels.

A group for each annotator and category, its points in pixels of the slide's total pixel matrix; the
annotator is the group's description. `dicom_codes` has the categories' codes, `dicom_rows` what of a label
has no attribute in the standard. Patient, study and slide are the de-identified slide's; nothing of the
original identity is in the file.
"""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labeling.export.dicom_codes import SCHEME, SCHEME_NAME, code_of
from labeling.export.dicom_rows import add_rows, characteristics, text_of
from labeling.export.rows import Row, Study

if TYPE_CHECKING:
    from highdicom.ann import AnnotationGroup, MicroscopyBulkSimpleAnnotations

_LONGEST_LABEL = 64


def write_dicom_folder(rows: Iterable[Row], out: Path, study: Study) -> None:
    """Write rows, which come slide by slide and all have a place, as `SLIDE.dcm` in a folder."""
    for slide_id, group in groupby(rows, key=lambda row: row["slide"]):
        labels = list(group)
        annotations = _annotations(slide_id, labels, study)
        annotations.save_as(out / f"{slide_id}.dcm")


def _annotations(slide_id: str, labels: list[Row], study: Study) -> "MicroscopyBulkSimpleAnnotations":
    from highdicom.ann import MicroscopyBulkSimpleAnnotations  # takes a second; only this format needs it

    from labeling.export.dicom_slide import referred_slide, uid_of

    size_px = labels[0]["slide_width_px"], labels[0]["slide_height_px"]
    members = {key: list(rows) for key, rows in groupby(sorted(labels, key=_group_of), key=_group_of)}
    groups = [_group(slide_id, number, key, rows, study) for number, (key, rows) in enumerate(members.items(), start=1)]
    told = [text_of(rows) for rows in members.values()]
    annotations = MicroscopyBulkSimpleAnnotations(
        source_images=[referred_slide(slide_id, size_px, study.home)],
        annotation_coordinate_type="2D", annotation_groups=groups,
        series_instance_uid=uid_of(slide_id, "annotations"), series_number=1,
        sop_instance_uid=uid_of(slide_id, "labels", *told), instance_number=1,
        manufacturer="CytoJEPA", manufacturer_model_name="CytoJEPA", software_versions="1",
        device_serial_number="0", content_label="CELL_LABELS",
        content_description="Labels of cells. Research use only.",
    )  # fmt: skip
    _complete(annotations, told)
    # The same labels give the same bytes: the object is as old as its newest label.
    newest = max(row["made_at"] for row in labels)
    day, clock = newest[:10].replace("-", ""), newest[11:19].replace(":", "")
    annotations.ContentDate = annotations.InstanceCreationDate = day
    annotations.ContentTime = annotations.InstanceCreationTime = clock
    for equipment in annotations.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            equipment.ContributionDateTime = f"{day}{clock}"
    return annotations


def _complete(annotations: "MicroscopyBulkSimpleAnnotations", told: list[str]) -> None:
    """Add what the standard wants besides: an unpaired part of the body (PS3.16, L), what is private; and the rows."""
    from pydicom import Dataset

    annotations.SpecificCharacterSet = "ISO_IR 192"  # names of doctors, in any script
    annotations.BodyPartExamined = "CERVIX"
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = SCHEME, SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = "CytoJEPA"
    annotations.CodingSchemeIdentificationSequence = [scheme]
    annotations.PrivateDataElementCharacteristicsSequence = [characteristics()]
    for group, text in zip(annotations.AnnotationGroupSequence, told, strict=True):
        add_rows(group, text)


def _group_of(row: Row) -> tuple[str, str]:
    return row["category"], row["annotator"] or row["kind"]


def _label(category: str, who: str) -> str:
    """Return a group's label (LO): a backslash would end the value there; the description has the name as it is."""
    return f"{category} ({who})".replace("\\", "/")[:_LONGEST_LABEL].strip()


def _group(slide_id: str, number: int, key: tuple[str, str], labels: list[Row], study: Study) -> "AnnotationGroup":
    from highdicom.ann import AnnotationGroup
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    from labeling.export.dicom_slide import uid_of

    category, who = key
    code = code_of(category, study.label_set)
    is_carcinoma = code.scheme != SCHEME
    return AnnotationGroup(
        number=number, uid=uid_of(slide_id, "group", *key), label=_label(category, who),
        annotated_property_category=(
            codes.SCT.MorphologicallyAbnormalStructure if is_carcinoma else codes.SCT.AnatomicalStructure
        ),
        annotated_property_type=CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning),
        graphic_type="POINT",
        graphic_data=[np.array([[row["x_px"], row["y_px"]]], np.float64) for row in labels],
        algorithm_type="MANUAL", description=who,
    )  # fmt: skip
