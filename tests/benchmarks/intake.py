"""A whole slide from file to vectors: CPU seconds of `ingest`, `detect` and `embed`, as commands.

    python -m tests.benchmarks.intake [--data ../shared/data] [--repeats 2] [--most-per-mm2 100]

The slide is real fields side by side (4.7 mm2 of dense smear), that `--repeats` times across and down, as a pyramidal
TIFF. Counted is all that a command and its children use, its start included; divide by the mm2 and by the cells.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from app.services import Services
from datasets import catalog
from tests.benchmarks.readers import CRIC_MPP, mosaic
from tests.slide_files import write_pyramid


def measure(words: list[str], home: Path) -> tuple[float, float]:
    """Run a command; return its CPU seconds and its wall seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "app.cli", *words, "--home", str(home)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--most-per-mm2", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, slide = Path(folder) / "home", Path(folder) / "slide.tif"
        picture = np.tile(mosaic(options.data), (options.repeats, options.repeats, 1))
        mm2 = picture.shape[0] * picture.shape[1] * CRIC_MPP**2 / 1e6
        write_pyramid(slide, picture, mpp=CRIC_MPP)
        verbs = {
            "ingest": ["ingest", str(slide)], "ingest --copy": ["ingest", str(slide), "--copy"],
            "detect": ["detect", f"--most-per-mm2={options.most_per_mm2}"], "embed": ["embed", "--encoder=shipped"],
        }  # fmt: skip
        for name, words in verbs.items():
            at = home.with_name("copied") if "--copy" in words else home
            cpu, wall = measure(words, at)
            sys.stdout.write(f"{name:14} {cpu:7.1f} CPU s {wall:7.1f} s\n")
        services = Services.open(home)
        cells, size = len(catalog.cell_ids(services.database)), sum(p.stat().st_size for p in home.rglob("*.png"))
        services.database.close()
    sys.stdout.write(f"{mm2:.1f} mm2, {cells} cells, crops {size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}\n")


if __name__ == "__main__":
    main()
