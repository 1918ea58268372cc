"""Regions per CPU second through the sandbox against plain openslide-python, and mm2 per CPU second of detection.

    python tests/benchmarks/readers.py [--data ../shared/data] [--rounds 5] [--reads 200] [--json]

All read the same random places of the same files, in turns within one run, so that a busy machine disturbs them alike:
openslide-python, the product's reader in this process, and the same through the sandbox. The last figure counts child
and parent: CPU seconds of both, warm, the slide open. Ratios are what counts.
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
import numpy as np
import openslide

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


def bare(paths: Sequence[Path], corners: Sequence[tuple[int, int]]) -> float:
    """Return regions per CPU second of the product's reader without the sandbox, opened before."""
    reader = open_slide(paths)
    started = time.process_time()
    for x, y in corners:
        reader.read_region(x, y, SIDE, SIDE, level=0)
    rate = len(corners) / (time.process_time() - started)
    reader.close()
    return rate


def sandboxed(decoder: Decoder, paths: Sequence[Path], corners: Sequence[tuple[int, int]]) -> float:
    """Return regions per CPU second of parent and child together."""
    decoder.read_region(paths, 0, 0, SIDE, SIDE)
    started = time.process_time() + child_seconds(decoder)
    for x, y in corners:
        decoder.read_region(paths, x, y, SIDE, SIDE)
    return len(corners) / (time.process_time() + child_seconds(decoder) - started)


def child_seconds(decoder: Decoder) -> float:
    """Return the CPU seconds that a decoder's child has used, to a hundredth (Linux)."""
    assert decoder.child_id is not None
    fields = Path(f"/proc/{decoder.child_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(data: Path, rounds: int, reads: int) -> list[dict[str, object]]:
    """Return a row for each format and kind of place: medians of the rates and of their ratios."""
    generator, rows = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as folder, Decoder() as decoder:
        for name, paths, tile in slides(data, Path(folder)):
            size = decoder.open_slide(paths).size
            for is_aligned in (True, False):
                rates = []
                for _ in range(rounds):
                    corners = places(size, tile, reads, generator, is_aligned=is_aligned)
                    rates.append((plain(paths, corners), bare(paths, corners), sandboxed(decoder, paths, corners)))
                rows.append({
                    "format": name, "aligned": is_aligned,
                    "openslide": round(statistics.median(p for p, _, _ in rates)),
                    "bare": round(statistics.median(b for _, b, _ in rates)),
                    "sandboxed": round(statistics.median(s for _, _, s in rates)),
                    "ratio": round(statistics.median(s / p for p, _, s in rates), 2),
                    "of_bare": round(statistics.median(s / b for _, b, s in rates), 2),
                })  # fmt: skip
    return rows


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
        "256-px regions per CPU second, medians; openslide-python, no sandbox, sandbox, its share of the first two"
    ]
    for row in rows:
        kind = "aligned" if row["aligned"] else "anywhere"
        rates = "".join(f"{row[name]:7}" for name in ("openslide", "bare", "sandboxed", "ratio", "of_bare"))
        lines.append(f"{row['format']:12}{kind:9}{rates}")
    lines.append(f"search {found['search_mm2']} mm2, grid {found['grid_mm2']} mm2 per CPU second; {facts}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
