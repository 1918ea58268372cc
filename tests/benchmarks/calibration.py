"""What probabilities and sets of classes are worth on slides that nothing has seen: many draws of labels.

    python tests/benchmarks/calibration.py --home STUDY --encoder shipped --draws 40

For a study whose cells came with labels. In each draw two fifths of the slides are the test side; of the others so
many labels of each class are drawn (classes that have fewer are left out), and the probe is fitted and calibrated as
in a study. Told are the calibration error (ten bins; of one draw and of all draws together, where chance has averaged
out) and how often the sets of classes hold the right one. Test cells are weighed so that classes count alike. With
`--random 10` so many cells of chance are labelled besides: once they tell the classes' shares, probabilities are those
that a doctor is shown in this pool, and test cells count alike.
"""

import argparse
from pathlib import Path

import numpy as np

from app import evaluation
from app.encoders import open_encoder
from app.services import Services
from labeling import fitting
from labeling.calibration import expected_calibration_error, probabilities_of, squared_calibration_error
from labeling.fitting import Training
from labeling.pool import PoolScale
from labeling.suggestions import conformal_sets

TEST_SHARE = 0.4


def pool_of(home: Path, encoder: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors, classes and slides of a study's cells that came with labels."""
    services = Services.open_existing(home)
    pool = evaluation.load_pool(services)
    vectors = evaluation.encoder_features(services, pool, open_encoder(services, encoder), lambda _done, _all: None)
    services.database.close()
    return vectors.astype(np.float64), pool.truth, pool.slides


def draw(truth: np.ndarray, slides: np.ndarray, shots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labelled rows and those of the test slides; a class with fewer labels is left out of both."""
    generator = np.random.default_rng(seed)
    names = generator.permutation(np.unique(slides))
    is_test = np.isin(slides, names[: round(TEST_SHARE * len(names))])
    mixed = generator.permutation(np.flatnonzero(~is_test))
    found = [mixed[truth[mixed] == name][:shots] for name in np.unique(truth)]
    known = np.concatenate([rows for rows in found if len(rows) == shots])
    return known, np.flatnonzero(is_test & np.isin(truth, truth[known]))


def one(
    vectors: np.ndarray, truth: np.ndarray, slides: np.ndarray, shots: int, seed: int, by_chance: int = 0
) -> dict[str, np.ndarray]:
    """Fit on one draw; return what is told of the test side, row by row."""
    known, test = draw(truth, slides, shots, seed)
    others = np.flatnonzero(np.isin(truth, truth[known]) & ~np.isin(slides, slides[test]))
    random = np.random.default_rng(seed).choice(others, by_chance, replace=False)
    known = np.union1d(known, random)
    training = Training(
        cell_ids=[str(row) for row in known], vectors=vectors[known], classes=truth[known],
        weights=np.ones(len(known)), slides=slides[known], is_random=np.isin(known, random),
        is_exemplar=np.zeros(len(known), bool),
    )  # fmt: skip
    scale = PoolScale.of(vectors)
    found = fitting.fit(training, scale, strength=fitting.tune(training, scale))
    codes = np.searchsorted(found.probe.classes_, truth[test])
    told = probabilities_of(found.probe.logits(vectors[test]), found.probe.temperature, found.prior)
    sets = conformal_sets(found.metrics["conformal"])
    inside = np.ones_like(told, bool) if sets is None else sets.contains(told)
    weights = np.ones(len(codes)) if by_chance else 1 / np.bincount(codes)[codes]
    return {
        "p": told, "codes": codes, "weights": weights / weights.sum(), "slides": slides[test],
        "size": inside.sum(axis=1), "covered": inside[np.arange(len(codes)), codes],
        "temperature": np.array(found.probe.temperature),
    }  # fmt: skip


def summary(rows: list[dict[str, np.ndarray]]) -> str:
    """Say what many draws told."""
    errors = [expected_calibration_error(r["p"], r["codes"], weights=r["weights"]) for r in rows]
    squares = [squared_calibration_error(r["p"], r["codes"], r["slides"], weights=r["weights"]) or 0.0 for r in rows]
    square, doubt = np.mean(squares), 1.96 * np.std(squares, ddof=1) / len(squares) ** 0.5
    real = [max(0.0, x) ** 0.5 for x in (square, square - doubt, square + doubt)]
    top = np.concatenate([r["p"].max(axis=1) for r in rows])
    right = np.concatenate([r["p"].argmax(axis=1) == r["codes"] for r in rows])
    weights = np.concatenate([r["weights"] for r in rows])
    places = np.minimum((top * 10).astype(int), 9)
    pooled = np.abs(np.bincount(places, weights=weights * (top - right), minlength=10)).sum() / weights.sum()
    covered = [float((r["weights"] * r["covered"]).sum()) for r in rows]
    sizes = np.mean([float((r["weights"] * r["size"]).sum()) for r in rows])
    accuracy = np.mean([float((r["weights"] * (r["p"].argmax(axis=1) == r["codes"])).sum()) for r in rows])
    losses = [float(-(r["weights"] * np.log(r["p"][np.arange(len(r["codes"])), r["codes"]])).sum()) for r in rows]
    error = 1.96 * np.std(covered, ddof=1) / len(covered) ** 0.5
    return (
        f"accuracy {accuracy:.3f}; log-loss {np.mean(losses):.3f}; "
        f"calibration error of one draw {np.mean(errors):.3f}, without chance "
        f"{real[0]:.3f} ({real[1]:.3f} to {real[2]:.3f}), of all together "
        f"{pooled:.3f}; temperature {np.median([r['temperature'] for r in rows]):.2f}; sets at 90 % hold the right one "
        f"{np.mean(covered):.3f} +- {error:.3f}, {sizes:.1f} classes each"
    )


def main() -> None:
    """Read the options and print a line for each number of labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--encoder", default="shipped")
    parser.add_argument("--shots", default="10,20,50")
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--random", type=int, default=0, help="cells of chance that are labelled besides")
    options = parser.parse_args()
    pool = pool_of(options.home, options.encoder)
    for shots in map(int, options.shots.split(",")):
        seeds = range(options.first_seed, options.first_seed + options.draws)
        rows = [one(*pool, shots, seed, options.random) for seed in seeds]
        print(f"{options.encoder}, {shots} labels of each class: {summary(rows)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
