"""Slide files for tests: a drawn field as a pyramidal TIFF and as what a scanner would add to it."""

import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import tifffile
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

TILE = 128
"""Side of a DICOM frame."""


def write_pyramid(path: Path, picture: np.ndarray, *, mpp: float | None, levels: int = 2, **options: object) -> None:
    """Write a tiled, JPEG-compressed pyramid; further options go to the first page."""
    scale = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tif:
        for level in range(levels):
            size = (picture.shape[1] >> level, picture.shape[0] >> level)
            pixels = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if level else picture
            tif.write(pixels, tile=(256, 256), compression="jpeg", compressionargs={"level": 92}, photometric="rgb",
                      subfiletype=1 if level else 0, metadata=None, **(scale if level == 0 else {}),
                      **(options if level == 0 else {}))  # fmt: skip


def write_aperio(path: Path, picture: np.ndarray, *, mpp: float, texts: str) -> None:
    """Write what OpenSlide takes for an SVS: a description with texts, a label and a macro picture."""
    head = f"Aperio Image Library v11\r\n{picture.shape[1]}x{picture.shape[0]} [0,0] (256x256) JPEG/RGB Q=70"
    with tifffile.TiffWriter(path) as tif:
        tif.write(picture, tile=(256, 256), compression="jpeg", photometric="rgb", metadata=None,
                  description=f"{head}|AppMag = 40|MPP = {mpp}|{texts}")  # fmt: skip
        # The second picture of an SVS is its thumbnail, whatever it says.
        for name, kind in (("thumbnail", 0), ("label", 1), ("macro", 9)):
            tif.write(picture[:90, :120], compression="lzw" if name == "label" else "jpeg", photometric="rgb",
                      rowsperstrip=90, subfiletype=kind, metadata=None,
                      description=f"Aperio Image Library v11\r\n{name} 120x90 - {texts}")  # fmt: skip


def dicom_slide(picture: np.ndarray, *, mpp: float, flavor: str = "VOLUME", planes_um: tuple[float, ...] = (0.0,),
                sharp: int = 0, series: str | None = None) -> Dataset:  # fmt: skip
    """Return a VL Whole Slide Microscopy instance, uncompressed, TILED_FULL; planes off the sharp one are blurred."""
    height, width = picture.shape[0] // TILE * TILE, picture.shape[1] // TILE * TILE
    header = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.6", generate_uid()
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(), series or generate_uid()
    header.FrameOfReferenceUID = generate_uid()
    header.ImageType = ["ORIGINAL", "PRIMARY", flavor, "NONE"]
    header.Modality, header.VolumetricProperties = "SM", "VOLUME"
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    header.Rows = header.Columns = TILE
    header.TotalPixelMatrixColumns, header.TotalPixelMatrixRows = width, height
    header.TotalPixelMatrixFocalPlanes, header.NumberOfOpticalPaths = len(planes_um), 1
    header.ImagedVolumeWidth, header.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
    header.ImagedVolumeDepth = 1.0
    header.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    header.FocusMethod, header.ExtendedDepthOfField, header.LossyImageCompression = "AUTO", "NO", "00"
    header.BurnedInAnnotation = header.SpecimenLabelInImage = "YES" if flavor == "LABEL" else "NO"
    header.DimensionOrganizationType = "TILED_FULL"
    header.TotalPixelMatrixOriginSequence = [
        _item(XOffsetInSlideCoordinateSystem=20, YOffsetInSlideCoordinateSystem=40)
    ]
    header.OpticalPathSequence = [_item(
        OpticalPathIdentifier="1", IlluminationTypeCodeSequence=[_code("111744", "DCM", "Brightfield illumination")],
        IlluminationColorCodeSequence=[_code("414298005", "SCT", "Full Spectrum")], ICCProfile=b"\0" * 4,
    )]  # fmt: skip
    measures = _item(PixelSpacing=[mpp / 1000, mpp / 1000], SliceThickness=0.001)
    if len(planes_um) > 1:
        measures.SpacingBetweenSlices = (planes_um[1] - planes_um[0]) / 1000
    frame_type = _item(FrameType=list(header.ImageType))
    header.SharedFunctionalGroupsSequence = [
        _item(PixelMeasuresSequence=[measures], WholeSlideMicroscopyImageFrameTypeSequence=[frame_type])
    ]
    header.ContainerIdentifier = "slide"
    header.SpecimenDescriptionSequence = [_item(SpecimenIdentifier="specimen", SpecimenUID=generate_uid())]
    frames = []
    for plane in range(len(planes_um)):
        distance = abs(plane - sharp)
        pixels = cv2.GaussianBlur(picture, (0, 0), 1.5 * distance) if distance else picture
        frames += [pixels[y : y + TILE, x : x + TILE] for y in range(0, height, TILE) for x in range(0, width, TILE)]
    header.NumberOfFrames = len(frames)
    header.PixelData = np.ascontiguousarray(frames).tobytes()
    return header


def single_frame(values: np.ndarray, kind: str) -> Dataset:
    """Return a DICOM picture of one frame: one value for each pixel, of a photometric interpretation."""
    header = dicom_slide(np.zeros((TILE, TILE, 3), np.uint8), mpp=0.25)
    header.NumberOfFrames, header.Rows, header.Columns = 1, *values.shape[:2]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, kind
    del header.PlanarConfiguration
    header.PixelData = values.tobytes()
    return header


def compressed(header: Dataset, frame: bytes, syntax: UID) -> Dataset:
    """Put a compressed frame in the place of a picture's pixels."""
    header.file_meta.TransferSyntaxUID = syntax
    header.PixelData = encapsulate([frame])
    header["PixelData"].is_undefined_length = True
    return header


def sparse(header: Dataset, left_out: set[int]) -> Dataset:
    """Leave frames out; the others tell their places."""
    size = len(header.PixelData) // header.NumberOfFrames
    columns, frames = header.TotalPixelMatrixColumns // TILE, []
    for number in set(range(header.NumberOfFrames)) - left_out:
        place = _item(
            ColumnPositionInTotalImagePixelMatrix=number % columns * TILE + 1,
            RowPositionInTotalImagePixelMatrix=number // columns * TILE + 1,
            XOffsetInSlideCoordinateSystem=1.0, YOffsetInSlideCoordinateSystem=1.0, ZOffsetInSlideCoordinateSystem=0.0,
        )  # fmt: skip
        frames.append((number, _item(PlanePositionSlideSequence=[place])))
    header.DimensionOrganizationType = "TILED_SPARSE"
    header.PerFrameFunctionalGroupsSequence = [frame for _, frame in frames]
    header.PixelData = b"".join(header.PixelData[n * size : (n + 1) * size] for n, _ in frames)
    header.NumberOfFrames = len(frames)
    header.RecommendedAbsentPixelCIELabValue = [0xFFFF, 0x8080, 0x8080]  # white: glass, for a viewer
    return header


def dicom_errors(path: Path) -> list[str]:
    """Return the errors that dciodvfy finds in a file: a validator that shares no code with what wrote it."""
    told = subprocess.run([Path(sys.executable).parent / "dciodvfy", path], capture_output=True, text=True, timeout=60)
    lines = (told.stdout + told.stderr).splitlines()
    assert lines, "it has read the file"
    return [line for line in lines if line.startswith("Error")]


def plant(header: Dataset, words: dict[str, str]) -> None:
    """Write identifying words into every text attribute at every depth, and add those that scanners fill in."""
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientAge", "AccessionNumber",
                    "OtherPatientNames", "PatientAddress", "AdditionalPatientHistory", "StudyDescription",
                    "SeriesDescription", "ImageComments", "ReferringPhysicianName", "OperatorsName", "InstitutionName",
                    "StationName", "DeviceSerialNumber", "BarcodeValue", "LabelText", "AcquisitionDateTime",
                    "ContentDate", "StudyDate", "StudyTime", "StudyID", "Manufacturer", "ManufacturerModelName",
                    "SoftwareVersions", "ProtocolName", "PatientComments"):  # fmt: skip
        if keyword not in header:
            setattr(header, keyword, "")
    header.add_new((0x0011, 0x0010), "LO", "SCANNER")
    header.add_new((0x0011, 0x1001), "LO", "")
    header.file_meta.SourceApplicationEntityTitle = words["id"]
    header.walk(lambda _, element: _plant_one(element, words))


def _plant_one(element: DataElement, words: dict[str, str]) -> None:
    kept = {"CodeValue", "CodingSchemeDesignator"}
    if element.VR in ("LO", "SH", "ST", "LT", "UT", "UC") and element.keyword not in kept:
        element.value = words["id"] if element.VR == "SH" else words["name"]
    elif element.VR == "PN":
        element.value = words["name"]
    elif element.VR in ("DA", "DT"):
        element.value = words["birth"]


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def write_ndpi_stack(path: Path, planes: list[np.ndarray], planes_um: list[float], *, mpp: float,
                     words: str = "Hamamatsu", restart: int = 0) -> None:  # fmt: skip
    """Write what OpenSlide takes for Hamamatsu's NDPI, with a page of one JPEG strip for each focal plane.

    The words stand in each page's reference text and property list. With a restart mark after so many blocks of 8
    pixels a part of the strip can be read without the others.
    """
    content, pages = bytearray(b"II*\0" + struct.pack("<Q", 0)), []
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_RST_INTERVAL, restart,
               cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]  # fmt: skip
    for picture in planes:
        is_encoded, data = cv2.imencode(".jpg", picture[..., ::-1], options)
        assert is_encoded
        pages.append((len(content), len(data)))
        content += data.tobytes()
    text = len(content)
    content += b"Hamamatsu\0\0\0" + words.encode() + b"\0" * (1 + (len(words) + 1) % 2)
    told = text + 12, len(words) + 1
    link = 4
    for (offset, length), picture, z_um in zip(pages, planes, planes_um, strict=True):
        height, width = picture.shape[:2]
        scale = struct.pack("<II", round(1e4 / mpp * 100), 100)
        at = len(content)
        content += scale
        entries = [
            (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 7), (262, 3, 6), (271, 2, text, 10),
            (273, 4, offset), (277, 3, 3), (278, 4, height), (279, 4, length), (282, 5, at), (283, 5, at),
            (296, 3, 3), (65420, 4, 1), (65421, 11, struct.unpack("<I", struct.pack("<f", 40.0))[0]),
            (65422, 9, 0), (65423, 9, 0), (65424, 9, round(z_um * 1000) & 0xFFFFFFFF),
            (65427, 2, *told), (65449, 2, *told),
        ]  # fmt: skip
        start = len(content)
        content[link : link + 8] = struct.pack("<Q", start)
        content += struct.pack("<H", len(entries))
        for tag, kind, value, *count in entries:
            content += struct.pack("<HHII", tag, kind, count[0] if count else 1, value)
        link = len(content)
        content += struct.pack("<Q", 0) + b"\0" * 4 * len(entries)
    path.write_bytes(content)
