"""DICOM headers without a person: what is not on the list is gone.

DICOM PS3.15 Annex E (Basic Application Level Confidentiality Profile) is a list of what to remove;
this is the stricter reading of it, a list of what may stay for a whole slide (PS3.3 A.32.8), at
every depth. Free text never stays: codes are looked up and get the dictionary's own words.
Identifiers become keyed pseudonyms, dates become a dummy. Pixels are copied as they are.

Runs inside the sandbox's child; it reads and returns bytes, writing is its parent's business.
"""

import hashlib
import hmac
import io
import struct
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
import pydicom.errors
from PIL import ImageCms
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as DicomSequence

from datasets.deidentify_rules import (
    CODE_PATTERN,
    CODE_SEQUENCES,
    CODE_WORDS,
    EMPTY,
    IDENTIFYING_VRS,
    KEPT,
    KEPT_SEQUENCES,
    OWN_WORDS,
    PATH_NAME,
    PSEUDONYMS,
    RULES,
    UIDS,
    VENDORS,
)  # fmt: skip
from datasets.errors import UnreadableFile
from datasets.identity import study_code

_UNDEFINED = 0xFFFFFFFF
_PROFILE_DATE = slice(24, 36)
"""When the profile was made (ICC.1, 7.2): equal slides must give equal bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deidentified:
    """One instance without a person."""

    header: bytes
    """Preamble, file meta and all attributes before the pixels."""
    pixels: tuple[int, int]
    """First byte and end of the pixel data's element in the original file, to be copied behind the header."""
    removed: Counter[str]
    """Keywords of what was removed or replaced, and how often."""
    notes: tuple[str, ...]


def deidentify(path: Path, key: bytes) -> Deidentified:
    """Return a DICOM instance's header with nothing in it that can identify.

    Args:
        path: The instance.
        key: Secret for pseudonyms and UIDs: equal inputs give equal outputs within a study.

    Raises:
        UnreadableFile: It is not DICOM, has no pixels or compressed attributes, or a removed text
            is still somewhere in the result.
    """
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            original = pydicom.dcmread(stream, stop_before_pixels=True)
        except pydicom.errors.InvalidDicomError as error:
            raise UnreadableFile("not a DICOM file") from error
        syntax = original.file_meta.TransferSyntaxUID
        if syntax.is_deflated:
            raise UnreadableFile("its attributes are compressed as a whole: convert it to another transfer syntax")
        pixels = _pixel_range(stream, is_implicit=syntax.is_implicit_VR, is_little=syntax.is_little_endian)
        rules = _Rules(key)
        clean = rules.clean(original)
        rules.add_required(clean, original)
        clean.file_meta = FileMetaDataset()
        clean.file_meta.TransferSyntaxUID = syntax
        clean.file_meta.MediaStorageSOPClassUID = clean.SOPClassUID
        clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
        buffer = io.BytesIO()
        dcmwrite(buffer, clean, enforce_file_format=True)
    header = buffer.getvalue()
    leaked = [keyword for keyword, text in rules.texts if text in header and not _is_own(text)]
    if leaked:
        raise UnreadableFile(f"the text of {leaked[0]} also stands in an attribute that is kept: not taken in")
    notes: tuple[str, ...] = ()
    if str(original.get("BurnedInAnnotation", "")) == "YES" or str(original.get("SpecimenLabelInImage", "")) == "YES":
        notes = ("its header says that text is burned into the picture: look at it before it leaves the house",)
    return Deidentified(header=header, pixels=pixels, removed=rules.removed, notes=notes)


class _Rules:
    """Applies the list to one instance and remembers what was removed."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.removed: Counter[str] = Counter()
        self.texts: list[tuple[str, bytes]] = []

    def clean(self, dataset: Dataset) -> Dataset:
        kept = Dataset()
        for element in dataset:
            replaced = self._clean_element(element)
            if replaced is None:
                self.removed["private attributes" if element.tag.is_private else element.keyword or "unknown"] += 1
                self._remember(element)
            else:
                kept.add(replaced)
        return kept

    def _clean_element(self, element: DataElement) -> DataElement | None:
        rule = self._rule(element.keyword)
        if element.tag.is_private or rule is None:
            return None
        return rule(element)

    def _rule(self, keyword: str) -> Callable[[DataElement], DataElement | None] | None:
        if keyword in KEPT:
            return self._keep_value
        if keyword in KEPT_SEQUENCES:
            return self._recurse
        if keyword in CODE_SEQUENCES:
            return self._look_up
        if keyword in UIDS:
            return self._new_uid
        if keyword in PSEUDONYMS:
            return self._pseudonym
        return {"OpticalPathIdentifier": self._path_name, "ICCProfile": self._color_profile}.get(keyword)

    def _keep_value(self, element: DataElement) -> DataElement | None:
        if element.keyword == "SpacingBetweenSlices" and not element.value:
            return None  # of a single plane; zero is no value that the standard knows
        if element.VR == "CS":
            values = [element.value] if isinstance(element.value, str) else list(element.value or [])
            return element if all(_is_code_word(str(value)) for value in values) else None
        is_number = element.VR in {"IS", "DS", "US", "UL", "SS", "SL", "FL", "FD", "AT", "UI", "OV", "UV", "SV"}
        return element if is_number else None

    def _recurse(self, element: DataElement) -> DataElement:
        items = [self.clean(item) for item in element.value]
        if element.keyword == "SpecimenDescriptionSequence":
            for item in items:
                item.IssuerOfTheSpecimenIdentifierSequence = []
                item.SpecimenPreparationSequence = []
        return DataElement(element.tag, "SQ", DicomSequence(items))

    def _look_up(self, element: DataElement) -> DataElement:
        known = {(c.value, c.scheme_designator): c for c in CODE_SEQUENCES.values()}
        found = []
        for item in element.value:
            self.texts += [("CodeMeaning", text) for text in _texts(item.get("CodeMeaning", ""))]
            place = (str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", "")))
            found.append(known.get(place, CODE_SEQUENCES[element.keyword]))
        own = {code.meaning.encode() for code in CODE_SEQUENCES.values()}
        self.texts = [(keyword, text) for keyword, text in self.texts if text not in own]
        items = []
        for code in found:
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme_designator
            item.CodeMeaning = code.meaning
            items.append(item)
        return DataElement(element.tag, "SQ", DicomSequence(items))

    def _new_uid(self, element: DataElement) -> DataElement:
        self.removed[element.keyword] += 1
        self._remember(element)
        return DataElement(element.tag, "UI", self.uid(str(element.value)))

    def _pseudonym(self, element: DataElement) -> DataElement:
        self.removed[element.keyword] += 1
        self._remember(element)
        return DataElement(element.tag, "LO", study_code(self._key, PSEUDONYMS[element.keyword], str(element.value)))

    def _path_name(self, element: DataElement) -> DataElement:
        name = str(element.value)
        if not PATH_NAME.fullmatch(name):
            name = study_code(self._key, "OP", name)
        return DataElement(element.tag, "SH", name)

    def _color_profile(self, element: DataElement) -> DataElement:
        # A profile has room for text of anybody; what stands in is the profile that screens assume.
        self.removed["ICCProfile"] += 1
        profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        profile[_PROFILE_DATE] = bytes(12)
        return DataElement(element.tag, "OB", bytes(profile))

    def uid(self, original: str) -> str:
        digest = hmac.new(self._key, b"UID\x00" + original.encode(), hashlib.sha256).digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"

    def _remember(self, element: DataElement) -> None:
        """Keep removed texts for the search through the result."""
        if element.VR == "SQ":
            for item in element.value:
                for inner in item:
                    self._remember(inner)
        elif element.VR in IDENTIFYING_VRS:
            self.texts += [(element.keyword or "a private attribute", text) for text in _texts(element.value)]

    def add_required(self, clean: Dataset, original: Dataset) -> None:
        """Add what the standard wants to be there, empty or as a dummy.

        Raises:
            UnreadableFile: One of the three identifiers is missing.
        """
        if "PatientID" not in clean:
            clean.PatientID = study_code(self._key, "PA", str(original.get("StudyInstanceUID", "")))
        clean.PatientName = clean.PatientID
        for keyword in sorted(EMPTY):
            setattr(clean, keyword, "")
        clean.PositionReferenceIndicator = "SLIDE_CORNER"  # the only value for slides (PS3.3, C.7.4.1.1.2)
        clean.ContentDate, clean.ContentTime, clean.AcquisitionDateTime = "19000101", "000000", "19000101000000"
        maker = str(original.get("Manufacturer", "")).casefold()
        clean.Manufacturer = next((name for name in VENDORS if name.casefold() in maker), "unknown")
        clean.ManufacturerModelName = clean.DeviceSerialNumber = clean.SoftwareVersions = "unknown"
        for keyword in ("SeriesNumber", "InstanceNumber"):
            if keyword not in clean:
                setattr(clean, keyword, None)
        clean.BurnedInAnnotation = clean.SpecimenLabelInImage = "NO"
        clean.AcquisitionContextSequence, clean.ContainerTypeCodeSequence = [], []
        clean.IssuerOfTheContainerIdentifierSequence = []
        if "ContainerIdentifier" not in clean:
            clean.ContainerIdentifier = study_code(self._key, "SL", str(original.get("SeriesInstanceUID", "")))
        clean.PatientIdentityRemoved = "YES"
        clean.DeidentificationMethod = RULES
        method = Dataset()
        method.CodeValue, method.CodingSchemeDesignator = "113100", "DCM"
        method.CodeMeaning = "Basic Application Confidentiality Profile"
        clean.DeidentificationMethodCodeSequence = [method]
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            if keyword not in clean:
                raise UnreadableFile(f"DICOM without {keyword}: it cannot be told apart from others")


def _is_code_word(text: str) -> bool:
    return text in CODE_WORDS or CODE_PATTERN.fullmatch(text) is not None


def _is_own(text: bytes) -> bool:
    """Return whether a text is one of the words that stay for everybody, such as DERIVED."""
    return text in OWN_WORDS or _is_code_word(text.decode("utf-8", "replace"))


def _texts(value: object) -> list[bytes]:
    """Return the searchable texts of a value: longer than three characters, as they would stand in a file."""
    values = value if isinstance(value, list | tuple | pydicom.multival.MultiValue) else [value]
    return [text.encode("utf-8", "replace") for item in values if len(text := str(item).strip()) > 3]


def _pixel_range(stream: BinaryIO, *, is_implicit: bool, is_little: bool) -> tuple[int, int]:
    """Return where the pixel data's element begins and ends (PS3.5, A.4); the stream stands at its tag.

    Raises:
        UnreadableFile: There are no pixels, or the file ends in the middle of them.
    """
    start, order = stream.tell(), "<" if is_little else ">"
    head = stream.read(8 if is_implicit else 12)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) not in {(0x7FE0, 0x0010), (0x7FE0, 0x0008)}:
        raise UnreadableFile("DICOM without pixels")
    (length,) = struct.unpack(f"{order}I", head[-4:])
    end = stream.tell() + length
    if length == _UNDEFINED:
        while True:
            item = stream.read(8)
            if len(item) < 8:
                raise UnreadableFile("cut off: its pixels end in the middle")
            group, number, size = struct.unpack(f"{order}HHI", item)
            if (group, number) != (0xFFFE, 0xE000):
                break
            stream.seek(size, io.SEEK_CUR)
        end = stream.tell()
    if end > stream.seek(0, io.SEEK_END):
        raise UnreadableFile("cut off: its pixels end in the middle")
    return start, end
