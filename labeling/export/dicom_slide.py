"""The slide that DICOM annotations refer to: the de-identified copy where there is one, else its study code.

A viewer matches annotations and slide by their UIDs, so the copies' own are used: they are made with
the study's key. A slide that is no DICOM file gets UIDs made of its study code, the same each time.
"""

from collections.abc import Iterable
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.uid import VLWholeSlideMicroscopyImageStorage, generate_uid

from datasets.copies import dicom_copies_of

_HEADER = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName", "ContainerIdentifier", "IssuerOfTheContainerIdentifierSequence",
    "ContainerTypeCodeSequence", "SpecimenDescriptionSequence", "TotalPixelMatrixColumns", "TotalPixelMatrixRows",
    "ImageType",
]  # fmt: skip


def referred_slide(slide_id: str, size_px: tuple[int | None, int | None], home: Path | None) -> Dataset:
    """Return the instance whose total pixel matrix the points are in.

    Args:
        slide_id: The slide's study code.
        size_px: Width and height of level 0.
        home: The workspace; None: nothing is looked up in it.
    """
    found = _level_0(dicom_copies_of(home, slide_id)) if home is not None else None
    return found if found is not None else _made_up(slide_id, size_px)


def _level_0(paths: Iterable[Path]) -> Dataset | None:
    """Return the header of the largest picture of a slide's copies: labels and overviews are no levels."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_HEADER) for path in paths]
    levels = [h for h in headers if not {"LABEL", "OVERVIEW", "THUMBNAIL"} & set(h.get("ImageType", ()))]
    found = max(levels, key=lambda h: int(h.TotalPixelMatrixColumns), default=None)
    if found is not None and "^" not in str(found.PatientName):
        # The same name by the rules of PS3.5, 6.2.1.1: a code is a family name without a given one.
        found.PatientName = f"{found.PatientName}^"
    return found


def _made_up(slide_id: str, size_px: tuple[int | None, int | None]) -> Dataset:
    slide = Dataset()
    slide.SOPClassUID, slide.Modality = VLWholeSlideMicroscopyImageStorage, "SM"
    slide.StudyInstanceUID, slide.SeriesInstanceUID = uid_of(slide_id, "study"), uid_of(slide_id, "series")
    slide.SOPInstanceUID, slide.FrameOfReferenceUID = uid_of(slide_id, "slide"), uid_of(slide_id, "frame")
    slide.PatientID = slide.StudyID = slide.ContainerIdentifier = slide_id
    slide.PatientName = slide.PatientBirthDate = slide.PatientSex = slide.AccessionNumber = ""
    slide.StudyDate = slide.StudyTime = ""
    slide.IssuerOfTheContainerIdentifierSequence, slide.ContainerTypeCodeSequence = [], []
    specimen = Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = slide_id, uid_of(slide_id, "specimen")
    specimen.IssuerOfTheSpecimenIdentifierSequence, specimen.SpecimenPreparationSequence = [], []
    slide.SpecimenDescriptionSequence = [specimen]
    if size_px[0]:
        slide.TotalPixelMatrixColumns, slide.TotalPixelMatrixRows = size_px
    return slide


def uid_of(*parts: str) -> str:
    """Return a UID that is the same for the same words."""
    return str(generate_uid(entropy_srcs=list(parts)))
