# ruff: noqa: T201  (it is a report)
"""What a study costs at 100,000 to 10,000,000 cells: neighbours, and scoring with bounded memory.

    python tests/benchmarks/scale.py neighbours --rows 1000000
    python tests/benchmarks/scale.py scoring --rows 10000000 --dim 64

Times are CPU seconds of one thread. `scoring` reports the process's own memory (RssAnon, its highest
value, sampled) apart from the mapped file, which the system may drop at any time.
"""

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from labeling.acquisition import PoolView
from labeling.fitting import Fit
from labeling.mixture import Shares
from labeling.neighbours import more_like, near_duplicates, update_index
from labeling.pool import PoolScale, keep_freed_memory
from labeling.probes import LinearProbe
from labeling.scoring import score_pool
from labeling.worklist import Guess, Pool, rank_mixed

CLASSES, PLANTED, WANTED, SEARCHES = 7, 200, 100, 20


def make_pool(rows: int, dim: int, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Draw vectors round 200 centres with a power-law spectrum into a file; return them and planted copies."""
    generator = np.random.default_rng(0)
    spread = (1 / np.sqrt(np.arange(1, dim + 1))).astype(np.float32)
    centres = generator.normal(size=(200, dim)).astype(np.float32) * spread
    path = folder / "vectors.npy"
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, dim))
    for start in range(0, rows, 50_000):
        part = slice(start, min(start + 50_000, rows))
        noise = generator.standard_normal((part.stop - start, dim), np.float32) * spread
        vectors[part] = noise + centres[generator.integers(200, size=len(noise))]
    copies = generator.choice(rows, (PLANTED, 2), replace=False)
    vectors[copies[:, 0]] = vectors[copies[:, 1]] + (generator.normal(size=(PLANTED, dim)) * 0.02 * spread).astype("f2")
    vectors.flush()
    return np.load(path, mmap_mode="r"), copies


def measure_neighbours(vectors: np.ndarray, copies: np.ndarray, folder: Path) -> None:
    """Print build, search and recall of the index, and what the search for near-duplicates finds."""
    start = time.process_time()
    update_index(folder / "index", vectors)
    size = sum(file.stat().st_size for file in (folder / "index").iterdir()) / 2**20
    print(
        f"index: {time.process_time() - start:.1f} s, {size:.0f} MB beside {vectors.nbytes / 2**20:.0f} MB of vectors"
    )
    recalls, times, exact_times = [], [], []
    for row in np.random.default_rng(1).choice(len(vectors), SEARCHES, replace=False).tolist():
        start = time.process_time()
        found = more_like(folder / "index", vectors, row, WANTED)
        middle = time.process_time()
        exact = more_like(folder / "none", vectors, row, WANTED)
        times.append(middle - start)
        exact_times.append(time.process_time() - middle)
        recalls.append(len(set(found.tolist()) & set(exact.tolist())) / WANTED)
    print(
        f"{WANTED} like one of {len(vectors)}: {1e3 * statistics.median(times):.1f} ms (exact "
        f"{1e3 * statistics.median(exact_times):.0f} ms), recall {np.mean(recalls):.3f}, lowest {min(recalls):.2f}"
    )
    start = time.process_time()
    pairs = {frozenset(pair[:2]) for pair in near_duplicates(vectors)}
    planted = {frozenset(pair) for pair in copies.tolist()}
    seconds = time.process_time() - start
    print(f"near-duplicates: {len(pairs & planted)} of {PLANTED} planted pairs, {len(pairs)} in all, {seconds:.1f} s")


def measure_scoring(vectors: np.ndarray, folder: Path) -> None:
    """Print time and own memory of scoring and ranking a pool, beside the time of reading it once."""
    generator = np.random.default_rng(2)
    rows = np.sort(generator.choice(len(vectors), 200, replace=False))
    scale = PoolScale.of(vectors)
    answers = np.arange(200) % CLASSES
    probe = LinearProbe(mean=scale.mean, std=scale.std).fit(vectors[rows].astype(np.float64), answers)
    found = Fit(probe=probe, prior=None, counts=np.bincount(answers).astype(float), metrics={})
    none = np.empty(0, np.intp)
    pool = Pool(
        cell_ids=[str(row) for row in range(len(vectors))], view=PoolView(vectors, scale),
        open_rows=np.setdiff1d(np.arange(len(vectors)), rows), known_rows=rows, waiting_rows=rows[:5],
        second_rows=none, first_slides=None, test_rows=none,
    )  # fmt: skip
    before, stop = _anonymous_mb(), threading.Event()
    peaks = [before]
    watcher = threading.Thread(target=_watch, args=(peaks, stop))
    watcher.start()
    start = time.process_time()
    scores = score_pool(vectors, found, path=folder / "probabilities.npy")
    scored = time.process_time()
    guess = Guess(probe_id="p", classes=tuple("ABCDEFG"), probabilities=scores.probabilities, scores=scores.scores)
    rank_mixed(pool, guess, Shares(), seed=len(rows))
    ranked = time.process_time()
    stop.set()
    watcher.join()
    reading = time.process_time()
    for begin in range(0, len(vectors), 50_000):
        vectors[begin : begin + 50_000].view(np.uint16).max()
    reading = time.process_time() - reading
    print(
        f"{len(vectors)} x {vectors.shape[1]}: scored {scored - start:.2f} s, ranked {ranked - scored:.2f} s, reading "
        f"once {reading:.2f} s; own memory {before:.0f} MB before, {max(peaks):.0f} MB at most, file "
        f"{vectors.nbytes / 2**20:.0f} MB"
    )


def _watch(peaks: list[float], stop: threading.Event) -> None:
    while not stop.wait(0.02):
        peaks.append(_anonymous_mb())


def _anonymous_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def main() -> None:
    """Read the options, make the pool, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["neighbours", "scoring"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        vectors, copies = make_pool(options.rows, options.dim, Path(name))
        if options.what == "neighbours":
            measure_neighbours(vectors, copies, Path(name))
        else:
            measure_scoring(vectors, Path(name))


if __name__ == "__main__":
    main()
