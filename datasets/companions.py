"""Scans of several files: the one by which a scan is opened, and those that are its parts and no pictures of their own.

Parts look like pictures. A macro picture that lies beside its scan shows the label with the patient's name, so it must
not come in as a field. Names alone are looked at here, and the text of Hamamatsu's index.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from datasets.errors import UnreadableFile

_MIRAX, _MIRAX_HEADER = ".mrxs", "Slidedat.ini"
"""How a MIRAX scan is opened, and what its folder of the same name has."""
_INDEXES = (".vms", ".vmu")
"""Hamamatsu's texts that name the files of a scan beside them."""
_VSI = ".vsi"
_INDEX_BYTES = 1 << 20
_NAMED = re.compile(r"^[^=\r\n]+=(.+?)\s*$", re.MULTILINE)


def is_known_scan(path: Path) -> bool:
    """Tell a scan of several files that is known by its name, because its bytes are those of a picture.

    Raises:
        UnreadableFile: It lacks its other files, or no reader opens its kind: what would be read is its small picture.
    """
    suffix = path.suffix.lower()
    if suffix == _VSI:
        raise UnreadableFile(
            "an Olympus or Evident scan, whose pixels lie in .ets files in a folder beside it: no reader here opens "
            "them; save it with the scanner's software as OME-TIFF, SVS or DICOM"
        )
    if suffix != _MIRAX:
        return False
    if path.suffix != _MIRAX:
        raise UnreadableFile(f"OpenSlide knows MIRAX scans by the suffix {_MIRAX} in small letters; rename it")
    if not (path.with_suffix("") / _MIRAX_HEADER).is_file():
        raise UnreadableFile(
            f"a MIRAX scan without its folder ({_MIRAX_HEADER} and Data files in a folder of the same name); "
            "copy both to the same place"
        )
    return True


def parts_of(path: Path) -> list[Path]:
    """Return all files of a slide that is opened by one: of a MIRAX scan also those of its folder, which is the slide.

    The file itself is a small picture or text that two scans may share, so it cannot tell them apart.
    """
    folder = path.with_suffix("")
    if path.suffix == _MIRAX and (folder / _MIRAX_HEADER).is_file():
        return [path, *sorted(part for part in folder.rglob("*") if part.is_file())]
    return [path, *_named_by(path)]


def without_parts(files: Iterable[Path]) -> list[Path]:
    """Return the files without those that are parts of a scan; the ones by which scans are opened stay."""
    found = list(files)
    parts = {part for path in found for part in _named_by(path)}
    folders = {path.with_name(f"_{path.stem}_") for path in found if path.suffix.lower() == _VSI}
    return [
        path for path in found
        if path not in parts and not (path.parent / _MIRAX_HEADER).is_file() and folders.isdisjoint(path.parents)
    ]  # fmt: skip


def orphans(folder: Path) -> list[tuple[Path, str]]:
    """Return folders of MIRAX scans without the file by which a scan is opened: nothing else would tell of them."""
    folders = [header.parent for header in sorted(folder.rglob(_MIRAX_HEADER))]
    reason = "the folder of a MIRAX scan without the .mrxs file of the same name beside it; copy both to the same place"
    return [(f, reason) for f in folders if not f.with_name(f"{f.name}{_MIRAX}").is_file()]


def _named_by(path: Path) -> list[Path]:
    """Return the files beside one of Hamamatsu's indexes that it names: pictures, map, macro picture."""
    if path.suffix.lower() not in _INDEXES:
        return []
    try:
        with path.open("rb") as stream:
            text = stream.read(_INDEX_BYTES).decode("latin-1")
    except OSError:  # whoever opens it next tells
        return []
    names = {name for name in _NAMED.findall(text) if name == Path(name).name}
    return sorted(part for name in names if (part := path.with_name(name)) != path and part.is_file())
