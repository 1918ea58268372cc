"""One round of active learning, ours beside the peers': refit on 200 labels, then choose the next 16.

    python tests/benchmarks/active.py --rows 100000

Run it in an environment that also has the peers; one that is missing is left out. A time is the CPU
time of this process; every contestant runs in turn, several times over, and medians are compared.
"""

import argparse
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from labeling.acquisition import PoolView
from labeling.fitting import Fit
from labeling.mixture import Shares, mix
from labeling.pool import PoolScale
from labeling.probes import LinearProbe
from labeling.scoring import score_pool

LABELS, BATCH, CLASSES, DIM = 200, 16, 7, 384

Round = Callable[[], Any]


def make_pool(rows: int, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw vectors with a power-law spectrum and seven overlapping classes, and the rows that are labelled.

    The vectors lie in a file, as in a study, and come as a memory map.
    """
    generator = np.random.default_rng(0)
    spread = 1 / np.sqrt(np.arange(1, DIM + 1))
    classes = generator.integers(CLASSES, size=rows)
    centres = generator.normal(size=(CLASSES, DIM)) * spread
    path = folder / "vectors.npy"
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, DIM))
    for start in range(0, rows, 50_000):
        part = slice(start, min(start + 50_000, rows))
        noise = generator.normal(size=(part.stop - start, DIM)).astype(np.float32) * spread
        vectors[part] = noise + centres[classes[part]]
    vectors.flush()
    return np.load(path, mmap_mode="r"), classes, generator.choice(rows, LABELS, replace=False)


def our_rounds(vectors: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> dict[str, Round]:
    """Return our round with a cold and with a warm fit; both choose a diverse batch with the study's mixture."""
    scale = PoolScale.of(vectors)
    known, answers = vectors[labelled].astype(np.float64), classes[labelled]
    open_rows = np.setdiff1d(np.arange(len(vectors)), labelled)
    view = PoolView(vectors, scale)
    before = LinearProbe(mean=scale.mean, std=scale.std, warm_start=True).fit(known[:-1], answers[:-1])

    def choose(probe: LinearProbe) -> list[tuple[int, str]]:
        found = Fit(probe=probe, prior=None, counts=np.bincount(answers).astype(float), metrics={})
        scores = score_pool(vectors, found).scores
        return mix(view, scores, open_rows, view.units(labelled), parts=Shares().ranked(), length=BATCH,
                   generator=np.random.default_rng(0))  # fmt: skip

    def cold() -> object:
        return choose(LinearProbe(mean=scale.mean, std=scale.std).fit(known, answers))

    def warm() -> object:
        probe = LinearProbe(mean=scale.mean, std=scale.std, warm_start=True)
        for name in ("classes_", "coef_", "intercept_", "mean_", "scale_"):
            setattr(probe, name, getattr(before, name))
        return choose(probe.fit(known, answers))

    def plain() -> object:
        found = Fit(probe=LinearProbe(mean=scale.mean, std=scale.std).fit(known, answers), prior=None,
                    counts=np.bincount(answers).astype(float), metrics={})  # fmt: skip
        return np.argpartition(-score_pool(vectors, found, rule="rarity-margin").scores, BATCH)[:BATCH]

    return {"ours, cold fit": cold, "ours, warm fit": warm, "ours, no diversity": plain}


def peer_rounds(vectors: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> dict[str, Round]:
    """Return the rounds of the peers that are installed, each on the array that it likes best."""
    rounds: dict[str, Round] = {}
    pool = vectors.astype(np.float32)
    known, answers = pool[labelled], classes[labelled]
    from sklearn.linear_model import LogisticRegression

    try:
        from modAL.models import ActiveLearner
        from modAL.uncertainty import margin_sampling

        def modal() -> object:
            learner = ActiveLearner(
                LogisticRegression(max_iter=500), margin_sampling, X_training=known, y_training=answers
            )
            return learner.query(pool, n_instances=BATCH)

        rounds["modAL margin"] = modal
    except ImportError:
        pass
    try:
        from skactiveml.classifier import SklearnClassifier
        from skactiveml.pool import CoreSet, UncertaintySampling

        partial = np.full(len(pool), np.nan)
        partial[labelled] = answers

        def skactiveml() -> object:
            model = SklearnClassifier(LogisticRegression(max_iter=500), classes=list(range(CLASSES)))
            query = UncertaintySampling(method="margin_sampling", random_state=0)
            return query.query(X=pool, y=partial, clf=model, batch_size=BATCH)

        def coreset() -> object:
            SklearnClassifier(LogisticRegression(max_iter=500), classes=list(range(CLASSES))).fit(pool, partial)
            return CoreSet(random_state=0).query(X=pool, y=partial, batch_size=BATCH)

        rounds |= {"scikit-activeml margin": skactiveml, "scikit-activeml CoreSet (diverse)": coreset}
    except ImportError:
        pass
    return rounds


def main() -> None:
    """Read the options and make the pool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(make_pool(options.rows, Path(folder)), options)


def compare(study: tuple[np.ndarray, np.ndarray, np.ndarray], options: argparse.Namespace) -> None:
    """Run every contestant in turn and print medians, spread and ratios."""
    rounds = our_rounds(*study) | (peer_rounds(*study) if options.peers else {})
    rounds["reading the vectors once"] = lambda: study[0].view(np.uint16).max()
    times: dict[str, list[float]] = {name: [] for name in rounds}
    with threadpool_limits(1):
        for _ in range(options.repeats):
            for name, run in rounds.items():
                start = time.process_time()
                run()
                times[name].append(time.process_time() - start)
    ours = statistics.median(times["ours, cold fit"])
    for name, found in times.items():
        middle = statistics.median(found)
        spread = f"{min(found):.4f} to {max(found):.4f}"
        print(f"{name:36} {middle:9.4f} s ({spread})   {middle / ours:7.2f} times ours")  # noqa: T201
    tracemalloc.start()
    rounds["ours, cold fit"]()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    print(f"a cold round of ours takes {peak:.0f} MB beside the file of {study[0].nbytes / 2**20:.0f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
