"""How long 100,000 labels take to each format, and how much memory that takes.

    python -m tests.benchmarks.export [--labels 100000] [--formats csv,dicom-ann] [--side 256]

Each format runs in a process of its own on the same study (50 slides, one label a cell, crops of 256 px that
share their bytes on the disk; `imagefolder` and `webdataset` write 12 GB of them). Memory is how far the process's
peak lies above what it held before the export.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.crops import encode_png
from datasets.db import utc_now
from labeling.export import FORMATS, export_labels
from labeling.records import Label

SLIDES = 50
LINKS = 50_000
"""ext4 allows 65,000 names of one file."""


def make_study(home: Path, labels: int, *, side_px: int = 256) -> None:
    """Write rows straight into the tables: what is timed is the way out."""
    services, now = Services.open(home), utc_now()
    slides = [
        {"id": f"SL-{n:013d}", "kind": "field", "sha256": f"{n:064d}", "width_px": 4000, "height_px": 4000, "mpp": 0.25,
         "mpp_source": "given", "added_at": now}
        for n in range(SLIDES)
    ]  # fmt: skip
    cells = [
        {"id": f"CE-{n:013d}", "slide_id": slides[n % SLIDES]["id"], "x": float(n % 3997), "y": float(n % 3989),
         "crop_mpp": 0.25, "source_width_px": None, "source_height_px": None, "origin": "detected", "added_at": now}
        for n in range(labels)
    ]  # fmt: skip
    names = services.label_set.ids
    rows = [
        {"key": f"key-{n}", "cell_id": cells[n]["id"], "annotator": f"doctor {n % 5}",
         "category": names[n % len(names)],
         "made_at": now, "decided_at": now, "seconds": 2.5, "reason": "the probe is unsure", "suggestion": names[0],
         "suggestion_probability": 0.5, "suggestion_shown": False, "probe_id": "p" * 32}
        for n in range(labels)
    ]  # fmt: skip
    with services.database.write() as session:
        for table, values in ((Slide, slides), (Cell, cells), (Label, rows)):
            session.connection().execute(insert(table.__table__), values)
    # Noise of so few steps takes as many bytes as a crop of a CRIC field does: 120,000.
    picture = encode_png(np.random.default_rng(0).integers(120, 150, (side_px, side_px, 3)).astype(np.uint8))
    for number, cell in enumerate(cells):
        source = home / f"crop-{number // LINKS}.png"
        if number % LINKS == 0:
            source.write_bytes(picture)
        path = catalog.crop_path(home, cell["id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, path)
    services.database.close()


def export_once(home: Path, name: str, out: Path) -> dict[str, float]:
    """Export in this process; returns rows, seconds, CPU seconds, and growth of the peak in MB."""
    services = Services.open(home)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew; a child's ru_maxrss begins at its parent's
    before = _peak_mb()
    started, cpu_started = time.monotonic(), time.process_time()
    report = export_labels(services.database, name, out, label_set=services.label_set)
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    grown = _peak_mb() - before
    return {
        "rows": report.rows,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "grown_mb": round(grown, 1),
    }


def _peak_mb() -> float:
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) / 1024


def measure(home: Path, name: str, scratch: Path) -> dict[str, float]:
    """Export in a fresh process and throw the result away."""
    out = scratch / f"out-{name}"
    command = [sys.executable, "-m", "tests.benchmarks.export", "--one", name, "--home", str(home), "--out", str(out)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    shutil.rmtree(out) if out.is_dir() else out.unlink()
    return found


def main() -> None:
    """Print one JSON line for each format."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--side", type=int, default=256, help="of a crop, in pixels")
    parser.add_argument("--one")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(export_once(options.home, options.one, options.out)) + "\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        make_study(Path(scratch) / "home", options.labels, side_px=options.side)
        for name in options.formats.split(","):
            found = measure(Path(scratch) / "home", name, Path(scratch))
            sys.stdout.write(json.dumps({"format": name, **found}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
