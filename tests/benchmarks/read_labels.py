"""How long reading a study's labels in Python takes, and whether its memory grows with their number.

    python -m tests.benchmarks.read_labels [--labels 100000] [--rounds 3]

Each figure comes from a process of its own: seconds from the opened study to the last row, and by how much
the process's peak memory grew meanwhile. The labels are written into the table directly, without events.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from sqlalchemy import insert

from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from labeling.records import Label

_CELLS, _SLIDES, _BATCH = 20_000, 50, 5000
_CHILD = """
import resource, sys, time, json
from app.study import open_study
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
way, home = sys.argv[1:]
with open_study(home) as study:
    next(iter(study.label_batches()), None) if way == "batches" else study.cells().head(1)
    before, started = peak(), time.perf_counter()
    rows = sum(len(b) for b in study.label_batches()) if way == "batches" else len(getattr(study, way)())
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - started, "growth_mb": peak() - before}))
"""


def _study(home: Path, number: int) -> None:
    services, now = Services.open(home), utc_now()
    slides = [
        Slide(id=f"SL-{n:013d}", kind="field", sha256=f"{n:064d}", width_px=400, height_px=300, mpp=0.25,
              mpp_source="given", added_at=now)
        for n in range(_SLIDES)
    ]  # fmt: skip
    cells = [
        Cell(id=f"CE-{n:013d}", slide_id=slides[n % _SLIDES].id, x=1.0, y=1.0, crop_mpp=0.25, source_width_px=None,
             source_height_px=None, origin="imported", added_at=now)
        for n in range(_CELLS)
    ]  # fmt: skip
    catalog.add(services.database, slides, cells)
    for start in range(0, number, _BATCH):
        rows = [
            {"key": f"k{n}", "cell_id": cells[n % _CELLS].id, "annotator": f"doctor {n // _CELLS}", "made_at": now,
             "category": ("NILM", "LSIL", "HSIL")[n % 3], "seconds": 1.5, "suggestion_shown": False}
            for n in range(start, min(number, start + _BATCH))
        ]  # fmt: skip
        with services.database.write() as session:
            session.execute(insert(Label), rows)
    services.database.close()


def main() -> None:
    """Print one JSON object with the medians of both ways for a tenth of the labels and for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sizes = (given.labels // 10, given.labels)
        for size in sizes:
            _study(Path(folder) / str(size), size)
        for _ in range(given.rounds):
            for size in sizes:
                for way in ("batches", "labels_table", "labels"):
                    command = [sys.executable, "-c", _CHILD, way, str(Path(folder) / str(size))]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    found.setdefault(f"{way} {size}", []).append(json.loads(done.stdout))
    told = {
        name: {key: {"median": round(statistics.median(r[key] for r in runs), 2),
                     "spread": [round(min(r[key] for r in runs), 2), round(max(r[key] for r in runs), 2)]}
               for key in ("seconds", "growth_mb")}
        for name, runs in found.items()
    }  # fmt: skip
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
