"""A 3DHistech slide for tests: a small JPEG called .mrxs, and beside it the folder that holds the scan."""

import struct
from pathlib import Path

import cv2
import numpy as np

TILE = 256
"""Side of a camera picture, which is a tile here."""
_SLIDE_ID = "0123456789ABCDEF0123456789ABCDEF"


def write_mirax(path: Path, picture: np.ndarray, *, mpp: float, words: str = "", label: np.ndarray | None = None,
                unscanned: tuple[int, ...] = (), overlap: int = 0) -> None:  # fmt: skip
    """Write a slide of two levels.

    Args:
        path: Ends in .mrxs. The file itself is the same for every slide, as it may be with a scanner's.
        picture: RGB, shape (H, W, 3), sides multiples of 512; with an overlap, of twice what is not
            shared, and one overlap more.
        mpp: Micrometres per pixel.
        words: Stand in the header's texts.
        label: Picture of the label, which is also the macro picture; None: of the slide's corner.
        unscanned: Tiles of level 0, counted row by row, that the scanner left out.
        overlap: Pixels that neighbouring camera pictures share, as a real scanner's do; their places then stand in a
            layer of their own.
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True)
    path.write_bytes(_jpeg(np.full((16, 16, 3), 255, np.uint8)))
    across, down = (side // (TILE - overlap) for side in (picture.shape[1], picture.shape[0]))
    places, stored = _camera_pictures(picture, across, down, TILE - overlap)
    data = bytearray(b"01.02" + _SLIDE_ID.encode())
    levels = []
    for level in range(2):
        step = 1 << level
        pixels = cv2.resize(stored, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA)
        rows = []
        for index in range(across * down):
            column, row = index % across, index // across
            if column % step or row % step or index in unscanned:
                continue
            y, x = row // step * TILE, column // step * TILE
            rows.append((index, *_add(data, _jpeg(pixels[y : y + TILE, x : x + TILE])), 0))
        levels.append(rows)
    others = [_add(data, _jpeg(picture[:90, :120] if label is None else label)) for _ in range(3)]
    if overlap:
        others.append(_add(data, b"".join(struct.pack("<Bii", 1, *place) for place in places)))
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Index.dat").write_bytes(_index(levels, others))
    (folder / "Slidedat.ini").write_text(_texts(across, down, mpp, words, overlap))


def _camera_pictures(
    picture: np.ndarray, across: int, down: int, step: int
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Return where camera pictures lie, row by row, and all of them side by side, as the levels hold them."""
    places = [(column * step, row * step) for row in range(down) for column in range(across)]
    tiles = [picture[y : y + TILE, x : x + TILE] for x, y in places]
    return places, np.vstack([np.hstack(tiles[start : start + across]) for start in range(0, len(tiles), across)])


def _jpeg(pixels: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert done
    return data.tobytes()


def _add(data: bytearray, part: bytes) -> tuple[int, int]:
    data += part
    return len(data) - len(part), len(part)


def _index(levels: list[list[tuple[int, ...]]], others: list[tuple[int, int]]) -> bytes:
    """Return Index.dat: two roots, then a list of pages for each level, and for each other picture."""
    index = bytearray(b"01.02" + _SLIDE_ID.encode() + bytes(8))
    root = len(index) - 8
    for number, pages in enumerate((
        [struct.pack("<2i", len(rows), 0) + b"".join(struct.pack("<4i", *row) for row in rows) for rows in levels],
        [struct.pack("<7i", 1, 0, 0, 0, start, length, 0) for start, length in others],
    )):  # fmt: skip
        struct.pack_into("<i", index, root + 4 * number, len(index))
        first = len(index)
        index += bytes(4 * len(pages))
        for place, page in enumerate(pages):
            struct.pack_into("<i", index, first + 4 * place, len(index))
            index += struct.pack("<2i", 0, len(index) + 8) + page
    return bytes(index)


def _texts(across: int, down: int, mpp: float, words: str, overlap: int) -> str:
    groups: dict[str, dict[str, object]] = {
        "GENERAL": {
            "SLIDE_VERSION": "01.02", "SLIDE_ID": _SLIDE_ID, "SLIDE_NAME": words, "PROJECT_NAME": words,
            "IMAGENUMBER_X": across, "IMAGENUMBER_Y": down, "OBJECTIVE_MAGNIFICATION": 40,
            "SLIDE_CREATIONDATETIME": "01/01/2020 10:00:00",
        },
        "HIERARCHICAL": {
            "HIER_COUNT": 1, "NONHIER_COUNT": 2 if overlap else 1, "INDEXFILE": "Index.dat",
            "HIER_0_NAME": "Slide zoom level", "HIER_0_COUNT": 2,
            "HIER_0_VAL_0_SECTION": "LEVEL_0", "HIER_0_VAL_1_SECTION": "LEVEL_1",
            "NONHIER_0_NAME": "Scan data layer", "NONHIER_0_COUNT": 3,
        },
        "DATAFILE": {"FILE_COUNT": 1, "FILE_0": "Data0000.dat"},
        "OTHERS": dict.fromkeys(("THUMBNAIL_IMAGE_TYPE", "BARCODE_IMAGE_TYPE", "PREVIEW_IMAGE_TYPE"), "JPEG"),
    }  # fmt: skip
    for number, kind in enumerate(("SlideThumbnail", "SlideBarcode", "SlidePreview")):
        groups["HIERARCHICAL"] |= {f"NONHIER_0_VAL_{number}": f"ScanDataLayer_{kind}",
                                   f"NONHIER_0_VAL_{number}_SECTION": "OTHERS"}  # fmt: skip
    if overlap:
        groups["HIERARCHICAL"] |= {"NONHIER_1_NAME": "VIMSLIDE_POSITION_BUFFER", "NONHIER_1_COUNT": 1,
                                   "NONHIER_1_VAL_0": "default", "NONHIER_1_VAL_0_SECTION": "OTHERS"}  # fmt: skip
    for level in range(2):
        groups[f"LEVEL_{level}"] = {
            "OVERLAP_X": overlap >> level, "OVERLAP_Y": overlap >> level, "MICROMETER_PER_PIXEL_X": mpp * 2**level,
            "MICROMETER_PER_PIXEL_Y": mpp * 2**level, "IMAGE_FORMAT": "JPEG", "IMAGE_FILL_COLOR_BGR": 0xFFFFFF,
            "DIGITIZER_WIDTH": TILE, "DIGITIZER_HEIGHT": TILE, "IMAGE_CONCAT_FACTOR": level,
        }  # fmt: skip
    return "\n".join(f"[{name}]\n" + "\n".join(f"{key} = {value}" for key, value in group.items())
                     for name, group in groups.items())  # fmt: skip
