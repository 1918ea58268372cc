"""One round of active learning, ours beside the peers': refit on 200 labels, then choose the next 16.

    python tests/benchmarks/active.py --rows 100000

The peers (modAL-python, scikit-activeml, small-text) are no part of the project's environments. Beside them:

    pip install --no-deps --target /tmp/peers modAL-python scikit-activeml small-text \
        iteration-utilities makefun dill
    PYTHONPATH=/tmp/peers python -W ignore tests/benchmarks/active.py

One that is missing is named and left out. A time is the CPU time of this process; every contestant runs in turn,
several times over, and medians are compared. `--no-peers --rows 1000000` sets ours beside one reading of the vectors.
"""

import argparse
import importlib
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from labeling.acquisition import PoolView
from labeling.fitting import Fit, Training, fit
from labeling.mixture import Shares, mix
from labeling.pool import PoolScale, keep_freed_memory
from labeling.probes import LinearProbe
from labeling.scoring import score_pool
from labeling.worklist import Guess, Pool, rank_mixed

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


def whole_refit(vectors: np.ndarray, classes: np.ndarray, labelled: np.ndarray, folder: Path) -> Round:
    """Return all arithmetic of a refit as a study does it, which no peer does.

    Folds of slides for temperature, sets and figures, probabilities in a file, and a list of 256 cells with grounds.
    """
    scale, names = PoolScale.of(vectors), np.array(list("ABCDEFG"))
    training = Training(
        cell_ids=[str(row) for row in labelled], vectors=vectors[labelled].astype(np.float64),
        classes=names[classes[labelled]], weights=np.ones(LABELS), is_random=np.arange(LABELS) % 5 == 0,
        slides=np.random.default_rng(0).integers(20, size=LABELS).astype(str), is_exemplar=np.zeros(LABELS, bool),
    )  # fmt: skip
    none = np.empty(0, np.intp)
    pool = Pool(
        cell_ids=[str(row) for row in range(len(vectors))], view=PoolView(vectors, scale), known_rows=labelled,
        open_rows=np.setdiff1d(np.arange(len(vectors)), labelled), waiting_rows=none, second_rows=none,
        first_slides=None, test_rows=none,
    )  # fmt: skip

    def refit() -> object:
        found = fit(training, scale, strength=LinearProbe().C)
        scores = score_pool(vectors, found, path=folder / "probabilities.npy")
        guess = Guess(probe_id="p", classes=tuple(names), probabilities=scores.probabilities, scores=scores.scores)
        return rank_mixed(pool, guess, Shares(), seed=LABELS)

    return refit


def peer_rounds(study: tuple[np.ndarray, np.ndarray, np.ndarray]) -> dict[str, Round]:
    """Return the rounds of the installed peers' plain margin, each on the array that it likes best."""
    rounds: dict[str, Round] = {}
    for package, of in (("modAL", modal), ("skactiveml", skactiveml), ("small_text", small_text)):
        try:
            importlib.import_module(package)
        except ImportError:
            print(f"{package}: not installed, left out")  # noqa: T201
        else:
            rounds |= of(*study)
    return rounds


def modal(vectors: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> dict[str, Round]:
    """Return modAL's round."""
    from modAL.models import ActiveLearner
    from modAL.uncertainty import margin_sampling

    pool = vectors.astype(np.float32)

    def run() -> object:
        learner = ActiveLearner(
            LogisticRegression(max_iter=500), margin_sampling, X_training=pool[labelled], y_training=classes[labelled]
        )
        return learner.query(pool, n_instances=BATCH)

    return {"modAL margin": run}


def partly(vectors: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return pool, answers (NaN: none) and a classifier as scikit-activeml wants them."""
    from skactiveml.classifier import SklearnClassifier

    answers = np.full(len(vectors), np.nan)
    answers[labelled] = classes[labelled]
    model = SklearnClassifier(LogisticRegression(max_iter=500), classes=list(range(CLASSES)))
    return vectors.astype(np.float32), answers, model


def skactiveml(vectors: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> dict[str, Round]:
    """Return scikit-activeml's round."""
    from skactiveml.pool import UncertaintySampling

    pool, answers, model = partly(vectors, classes, labelled)
    query = UncertaintySampling(method="margin_sampling", random_state=0)
    return {"scikit-activeml margin": lambda: query.query(X=pool, y=answers, clf=model, batch_size=BATCH)}


def small_text(vectors: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> dict[str, Round]:
    """Return small-text's round; its classifiers take sparse matrices only."""
    from scipy.sparse import csr_matrix
    from small_text import BreakingTies, PoolBasedActiveLearner, SklearnDataset
    from small_text.classifiers.classification import SklearnClassifier

    pool = SklearnDataset(csr_matrix(vectors.astype(np.float32)), classes, target_labels=np.arange(CLASSES))

    class Factory:
        def new(self) -> object:
            return SklearnClassifier(LogisticRegression(max_iter=500), CLASSES)

    def run() -> object:
        learner = PoolBasedActiveLearner(Factory(), BreakingTies(), pool)
        learner.initialize_data(labelled, classes[labelled])
        return learner.query(num_samples=BATCH)

    return {"small-text margin (BreakingTies)": run}


def diverse_rounds(vectors: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> dict[str, Round]:
    """Return the peers' rounds that choose a diverse batch; small-text's need a classifier with embeddings."""
    rounds: dict[str, Round] = {}
    if (modal_of := _found("modAL.batch")) is not None:
        from modAL.models import ActiveLearner

        pool = vectors.astype(np.float32)

        def ranked() -> object:
            learner = ActiveLearner(
                LogisticRegression(max_iter=500), modal_of.uncertainty_batch_sampling,
                X_training=pool[labelled], y_training=classes[labelled],
            )  # fmt: skip
            return learner.query(pool, n_instances=BATCH)

        rounds["modAL ranked batch"] = ranked
    if (peer := _found("skactiveml.pool")) is not None:
        whole, answers, model = partly(vectors, classes, labelled)

        def core_set() -> object:
            model.fit(whole, answers)
            return peer.CoreSet(random_state=0).query(X=whole, y=answers, batch_size=BATCH)

        def with_model(name: str) -> Round:
            rule = getattr(peer, name)
            return lambda: rule(random_state=0).query(X=whole, y=answers, clf=model, batch_size=BATCH)

        rounds |= {"scikit-activeml CoreSet": core_set} | {
            f"scikit-activeml {name}": with_model(name) for name in ("Falcun", "DropQuery", "Badge")
        }
        rounds["scikit-activeml TypiClust"] = lambda: peer.TypiClust(random_state=0).query(
            X=whole, y=answers, batch_size=BATCH
        )
    return rounds


def _found(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def main() -> None:
    """Read the options, make the pool and compare: plain margins often, diverse batches of peers less often."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--diverse-repeats", type=int, default=2, help="0: none. BADGE takes 55 kB for each row.")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    keep_freed_memory()  # as the process does that refits; the peers have it too
    with tempfile.TemporaryDirectory() as folder:
        study = make_pool(options.rows, Path(folder))
        ours = our_rounds(*study)
        rounds = ours | (peer_rounds(study) if options.peers else {})
        rounds["ours, all of a study's refit"] = whole_refit(*study, Path(folder))
        rounds |= readings(study[0], Path(folder) / "vectors.npy")
        compare(f"{options.rows} rows", rounds, options.repeats)
        tracemalloc.start()
        ours["ours, cold fit"]()
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        print(f"a cold round of ours takes {peak:.0f} MB beside the file of {study[0].nbytes / 2**20:.0f} MB")  # noqa: T201
        tracemalloc.stop()
        if options.peers and options.diverse_repeats:
            rounds = {"ours, cold fit": ours["ours, cold fit"], **diverse_rounds(*study)}
            compare(f"a diverse batch, {options.rows} rows", rounds, options.diverse_repeats)


def readings(vectors: np.ndarray, path: Path) -> dict[str, Round]:
    """Return two ways of reading all vectors once: adding up what is mapped, and copying the file piece by piece."""
    piece = bytearray(8 << 20)

    def copy() -> None:
        with path.open("rb", buffering=0) as file:
            while file.readinto(piece):
                pass

    return {"every byte of the map, added up": lambda: vectors.view(np.uint64).sum(), "the file, read": copy}


def compare(title: str, rounds: dict[str, Round], repeats: int) -> None:
    """Run every contestant in turn, ours also before each, and print medians, spread and ratios."""
    times: dict[str, list[float]] = {name: [] for name in rounds}
    ours = "ours, cold fit"
    with threadpool_limits(1):
        for name in [name for _ in range(repeats) for other in rounds for name in dict.fromkeys((ours, other))]:
            start = time.process_time()
            rounds[name]()
            times[name].append(time.process_time() - start)
    unit = statistics.median(times[ours])
    print(f"{title}: CPU seconds, median of {repeats} (lowest to highest), and how many times ours")  # noqa: T201
    for name, found in times.items():
        middle = statistics.median(found)
        spread = f"{min(found):.4f} to {max(found):.4f}"
        print(f"  {name:36} {middle:9.4f} ({spread})   {middle / unit:7.2f}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
