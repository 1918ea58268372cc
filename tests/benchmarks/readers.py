"""Regions per CPU second through the sandbox against plain openslide-python, and mm2 per CPU second of detection.

    python tests/benchmarks/readers.py [--data ../shared/data] [--rounds 5] [--reads 200] [--json]

All read the same random places of the same files, in turns within one run, so that a busy machine disturbs them alike:
openslide-python, for SVS and TIFF a plain index of tifffile with one read and one decoder for each tile (for DICOM
plain wsidicom), the product's reader in this process, and the same through the sandbox, with a question for each region
and with one for many. The last two count child and parent: CPU seconds of both, warm, the slide open. Ratios are what
counts.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import openslide
import tifffile
from wsidicom import WsiDicom

from datasets.crops import Picture
from datasets.detection import uncovered
from datasets.nuclei import find_nuclei
from datasets.readers.sniff import open_slide
from datasets.sandbox import Decoder
from tests.slide_files import write_aperio, write_ndpi_stack, write_pyramid

SIDE = 256
MOSAIC = (8, 8)
"""Fields across and down, of 1280 x 949 pixels: larger than what either side keeps decoded."""
CRIC_MPP = 0.247


def mosaic(data: Path) -> Picture:
    """Return real fields side by side."""
    paths = sorted((data / "cric_dev" / "images").glob("*.webp"))
    fields = [cv2.imread(str(path))[:949, :1280, ::-1] for path in paths[: MOSAIC[0] * MOSAIC[1]]]
    fields = [fields[i % len(fields)] for i in range(MOSAIC[0] * MOSAIC[1])]
    return np.vstack([np.hstack(fields[r * MOSAIC[0] : (r + 1) * MOSAIC[0]]) for r in range(MOSAIC[1])])


def slides(data: Path, folder: Path) -> Iterator[tuple[str, list[Path], int]]:
    """Yield a name, the files and the side of a tile for each format."""
    picture = mosaic(data)
    write_pyramid(folder / "a.tif", picture, mpp=CRIC_MPP)
    yield "TIFF", [folder / "a.tif"], 256
    write_aperio(folder / "a.svs", picture, mpp=CRIC_MPP, texts="")
    yield "SVS", [folder / "a.svs"], 256
    ndpi = next((data / "wsi" / "hamamatsu_ndpi").glob("*.ndpi"))
    yield "NDPI", [ndpi], 256
    write_ndpi_stack(folder / "a.ndpi", [picture], [0.0], mpp=CRIC_MPP, restart=256)
    yield "NDPI, large", [folder / "a.ndpi"], 256
    yield "DICOM", sorted((data / "wsi" / "derived_cytology_mosaic" / "dicom").rglob("*.dcm")), 256


def places(size: tuple[int, int], tile: int, count: int, generator: np.random.Generator, *,
           is_aligned: bool) -> list[tuple[int, int]]:  # fmt: skip
    """Return random corners of regions that lie inside a slide."""
    step = tile if is_aligned else 1
    limits = [max(1, (length - SIDE) // step) for length in size]
    return [(int(x) * step, int(y) * step) for x, y in generator.integers(0, limits, (count, 2))]


def plain(paths: Sequence[Path], corners: Sequence[tuple[int, int]]) -> float:
    """Return regions per CPU second of openslide-python, RGB, opened before."""
    with openslide.OpenSlide(paths[0]) as slide:
        np.asarray(slide.read_region((0, 0), 0, (SIDE, SIDE)).convert("RGB"))
        started = time.process_time()
        for corner in corners:
            np.asarray(slide.read_region(corner, 0, (SIDE, SIDE)).convert("RGB"))
        return len(corners) / (time.process_time() - started)


def indexed(paths: Sequence[Path], corners: Sequence[tuple[int, int]]) -> float | None:
    """Return regions per CPU second of the fastest plain way known: no checks, nothing kept, no sandbox."""
    if paths[0].suffix == ".ndpi":
        return None
    if paths[0].suffix == ".dcm":
        with WsiDicom.open(paths) as slide:
            slide.read_region((0, 0), 0, (SIDE, SIDE))
            started = time.process_time()
            for corner in corners:
                np.asarray(slide.read_region(corner, 0, (SIDE, SIDE)))
            return len(corners) / (time.process_time() - started)
    with tifffile.TiffFile(paths[0]) as tif, paths[0].open("rb") as stream:
        page, file = tif.pages[0], stream.fileno()
        offsets, counts, across = page.dataoffsets, page.databytecounts, -(-page.imagewidth // SIDE)
        assert page.tilewidth == page.tilelength == SIDE
        started = time.process_time()
        for x, y in corners:
            region = np.empty((SIDE, SIDE, 3), np.uint8)
            for row in range(y // SIDE, -(-(y + SIDE) // SIDE)):
                for column in range(x // SIDE, -(-(x + SIDE) // SIDE)):
                    place = row * across + column
                    data = os.pread(file, counts[place], offsets[place])
                    tile = imagecodecs.jpeg8_decode(data, tables=page.jpegtables, outcolorspace=2)
                    dx, dy = column * SIDE - x, row * SIDE - y
                    region[max(dy, 0) : SIDE + dy, max(dx, 0) : SIDE + dx] = tile[
                        max(-dy, 0) : SIDE - dy, max(-dx, 0) : SIDE - dx
                    ]
        return len(corners) / (time.process_time() - started)


def bare(paths: Sequence[Path], corners: Sequence[tuple[int, int]]) -> float:
    """Return regions per CPU second of the product's reader without the sandbox, opened before."""
    reader = open_slide(paths)
    started = time.process_time()
    for x, y in corners:
        reader.read_region(x, y, SIDE, SIDE, level=0)
    rate = len(corners) / (time.process_time() - started)
    reader.close()
    return rate


def sandboxed(decoder: Decoder, paths: Sequence[Path], corners: Sequence[tuple[int, int]], *,
              is_batch: bool) -> float:  # fmt: skip
    """Return regions per CPU second of parent and child together, asked for one by one or many at once."""
    decoder.read_region(paths, 0, 0, SIDE, SIDE)
    started = time.process_time() + child_seconds(decoder)
    if is_batch:
        for _ in decoder.read_regions(paths, [(x, y, 0.0) for x, y in corners], SIDE, SIDE):
            pass
    else:
        for x, y in corners:
            decoder.read_region(paths, x, y, SIDE, SIDE)
    return len(corners) / (time.process_time() + child_seconds(decoder) - started)


def child_seconds(decoder: Decoder) -> float:
    """Return the CPU seconds that a decoder's child has used (Linux: the clock of a process by its number)."""
    assert decoder.child_id is not None
    return time.clock_gettime((~decoder.child_id << 3) | 2)


def compare(data: Path, rounds: int, reads: int) -> list[dict[str, object]]:
    """Return a row for each format and kind of place: medians of the rates and of their ratios."""
    generator, rows = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as folder, Decoder() as decoder:
        for name, paths, tile in slides(data, Path(folder)):
            size = decoder.open_slide(paths).size
            for is_aligned in (True, False):
                rates: list[list[float | None]] = []
                for _ in range(rounds):
                    corners = places(size, tile, reads, generator, is_aligned=is_aligned)
                    rates.append([way(paths, corners) for way in (plain, indexed, bare)])
                    rates[-1] += [sandboxed(decoder, paths, corners, is_batch=kind) for kind in (False, True)]
                row: dict[str, object] = {"format": name, "aligned": is_aligned}
                for number, way in enumerate(("openslide", "index", "bare", "sandboxed", "batches")):
                    row[way] = _told([rate[number] for rate in rates], 0)
                    if number < 3:
                        for ours, kind in ((3, "one"), (4, "many")):
                            shares = [rate[ours] / rate[number] if rate[number] else None for rate in rates]
                            row[f"{kind}_of_{way}"] = _told(shares, 2)
                rows.append(row)
    return rows


def _told(values: Sequence[float | None], digits: int) -> str:
    """Return the median, and lowest and highest."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return "{:.{d}f} ({:.{d}f}-{:.{d}f})".format(statistics.median(known), min(known), max(known), d=digits)


def detection(data: Path, rounds: int) -> dict[str, object]:
    """Return mm2 per CPU second of the search for nuclei and of the grid, and the nuclei for each field."""
    with (data / "cric_dev" / "cells.csv").open() as stream:
        names = sorted({row["image"] for row in csv.DictReader(stream)})[::5]
    pictures = [cv2.imread(str(data / "cric_dev" / "images" / name))[..., ::-1].copy() for name in names]
    area = sum(p.shape[0] * p.shape[1] for p in pictures) * CRIC_MPP**2 / 1e6
    found = [find_nuclei(picture, CRIC_MPP) for picture in pictures]

    def rate(work: Callable[[], object]) -> float:
        started = time.process_time()
        work()
        return area / (time.process_time() - started)

    search = [rate(lambda: [find_nuclei(p, CRIC_MPP) for p in pictures]) for _ in range(rounds)]
    grid = [rate(lambda: [uncovered(p, CRIC_MPP, f.centers_px) for p, f in zip(pictures, found, strict=True)])
            for _ in range(rounds)]  # fmt: skip
    return {"search_mm2": round(statistics.median(search), 2), "grid_mm2": round(statistics.median(grid), 2),
            "nuclei_per_field": round(sum(map(len, found)) / len(found), 1)}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reads", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rows = compare(options.data, options.rounds, options.reads)
    found = detection(options.data, options.rounds)
    facts = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    if options.json:
        sys.stdout.write(json.dumps({"reads": rows, "detection": found, **facts}) + "\n")
        return
    lines = [
        "256-px regions per CPU second, medians (and range): openslide-python, plain index, no sandbox, sandbox one by "
        "one, sandbox many at once; these two as shares of openslide-python, then of the index"
    ]
    for row in rows:
        kind = "aligned" if row["aligned"] else "anywhere"
        ways = ("openslide", "index", "bare", "sandboxed", "batches", "one_of_openslide", "many_of_openslide",
                "one_of_index", "many_of_index")  # fmt: skip
        rates = "".join(f"{row[name]:>18}" for name in ways)
        lines.append(f"{row['format']:12}{kind:9}{rates}")
    lines.append(f"search {found['search_mm2']} mm2, grid {found['grid_mm2']} mm2 per CPU second; {facts}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
