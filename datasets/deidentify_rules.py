"""What may stay in a DICOM header, and what stands in for the rest; see `deidentify`."""

import re

from pydicom.sr.codedict import codes

RULES = "CytoJEPA allow-list 1, within PS3.15 Annex E basic profile"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEPT = _words(
    """
    SpecificCharacterSet ImageType SOPClassUID Modality VolumetricProperties InstanceNumber SeriesNumber
    SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns BitsAllocated
    BitsStored HighBit PixelRepresentation PixelPaddingValue PresentationLUTShape RescaleIntercept RescaleSlope
    RescaleType LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod ImagedVolumeWidth
    ImagedVolumeHeight ImagedVolumeDepth TotalPixelMatrixColumns TotalPixelMatrixRows
    TotalPixelMatrixFocalPlanes XOffsetInSlideCoordinateSystem YOffsetInSlideCoordinateSystem
    ZOffsetInSlideCoordinateSystem ImageOrientationSlide FocusMethod ExtendedDepthOfField NumberOfFocalPlanes
    DistanceBetweenFocalPlanes NumberOfOpticalPaths DimensionOrganizationType DimensionIndexPointer
    FunctionalGroupPointer DimensionIndexValues PixelSpacing SliceThickness SpacingBetweenSlices FrameType
    ColumnPositionInTotalImagePixelMatrix RowPositionInTotalImagePixelMatrix IlluminationWaveLength
    ObjectiveLensPower ObjectiveLensNumericalAperture ColorSpace ConcatenationFrameOffsetNumber
    InConcatenationNumber InConcatenationTotalNumber ExtendedOffsetTable ExtendedOffsetTableLengths
    FrameAcquisitionNumber
    """
)
"""Numbers, code strings and pointers; code strings must look like such."""
KEPT_SEQUENCES = _words(
    """
    TotalPixelMatrixOriginSequence DimensionOrganizationSequence DimensionIndexSequence
    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence
    WholeSlideMicroscopyImageFrameTypeSequence OpticalPathIdentificationSequence PlanePositionSlideSequence
    FrameContentSequence OpticalPathSequence SpecimenDescriptionSequence
    """
)
CODE_SEQUENCES = {
    "IlluminationTypeCodeSequence": codes.DCM.BrightfieldIllumination,
    "IlluminationColorCodeSequence": codes.SCT.FullSpectrum,
}
"""With what stands in when the file's own code is not in the dictionary."""
UIDS = _words(
    """
    SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID DimensionOrganizationUID SpecimenUID
    ConcatenationUID SOPInstanceUIDOfConcatenationSource PyramidUID
    """
)
PSEUDONYMS = {"PatientID": "PA", "ContainerIdentifier": "SL", "SpecimenIdentifier": "SP"}
EMPTY = _words(
    """
    PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber
    """
)
VENDORS = (
    "3DHISTECH", "Aperio", "Hamamatsu", "Huron", "Leica", "Motic", "Olympus", "Philips", "Roche", "Ventana", "Zeiss",
)  # fmt: skip
OWN_WORDS = " ".join((RULES, *VENDORS, "unknown", "SLIDE_CORNER")).encode()
CODE_WORDS = _words(
    """
    ORIGINAL DERIVED PRIMARY SECONDARY VOLUME THUMBNAIL NONE RESAMPLED MIXED SM TILED_FULL TILED_SPARSE 3D RGB
    MONOCHROME1 MONOCHROME2 YBR_FULL YBR_FULL_422 YBR_PARTIAL_420 YBR_ICT YBR_RCT XYB IDENTITY INVERSE 00 01 AUTO
    MANUAL YES NO US SRGB ADOBERGB ROMMRGB
    """
)
CODE_PATTERN = re.compile(r"ISO_IR \d{1,3}|ISO 2022 IR \d{1,3}|ISO_\d{5}(_\d{1,2})?|GB18030|GBK|")
PATH_NAME = re.compile(r"[0-9A-Za-z]{1,2}")
IDENTIFYING_VRS = _words(
    """
    PN LO SH ST LT UT DA DT AS UC
    """
)
