"""Which cells are worth a doctor's next look: pure functions of arrays. Higher means earlier.

Settles' terms (Active Learning Literature Survey, 2009). The default weighs uncertainty by the
rarity of the classes in question: on pools with about 2 % abnormal cells that finds several times
as many of them as chance, while pure coverage finds no more than chance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.extensions import Registry
from labeling.errors import LabelingError
from labeling.pool import Matrix, PoolScale, Singles, singles

Floats = NDArray[np.float64]
Scores = NDArray[np.floating]
Indices = NDArray[np.intp]
Counts = NDArray[np.integer] | NDArray[np.floating]
"""Labels of each class; a cell that doctors call differently counts in parts."""

CANDIDATES = 600
"""Cells among which a queue is chosen by score. Herlev, handcrafted, 10 draws: mean of the curve to 200
labels .552, with 1,000 candidates .551; no other set was compared."""
NEAR_BEST = {"rarest-margin": 0.7}
"""Of some rules: the share of the best score from which a cell may be the next one. What stands for many cells of
little worth then does not come before one of great worth. Chosen among .3 to .9 on 12 draws of CRIC and of Herlev."""
_FEWEST_NEAR, _PART = 32, 4
"""Candidates that are near the best whatever they score, and the part of them that is chosen before looking again."""
COVERAGE_ROWS = 300
"""Size of the random sample at which coverage looks."""
_AT_ONCE, _PIECE = 16, 64
_COVERAGE_WIDTH = 4.0
"""Two cells at squared distance 1/4 cover each other by 1/e."""
_CLUSTER_ROWS = 5_000


def least_confident(probabilities: Scores) -> Floats:
    """Return one minus the likeliest class's probability: (n, K) to (n,), 0 to 1 - 1/K."""
    scores: Floats = 1.0 - probabilities.max(axis=1)
    return scores


def margin(probabilities: Scores) -> Floats:
    """Return one minus the gap between the two likeliest classes: (n, K) to (n,), 0 to 1."""
    top = np.partition(probabilities, -2, axis=1)
    scores: Floats = 1.0 - (top[:, -1] - top[:, -2])
    return scores


def entropy(probabilities: Scores) -> Floats:
    """Return the entropy in units of its maximum: (n, K) to (n,), 0 to 1."""
    logs = np.log(np.maximum(probabilities, 1e-12))
    scores: Floats = -(probabilities * logs).sum(axis=1) / np.log(probabilities.shape[1])
    return np.clip(scores, 0.0, 1.0)


def rarity(counts: Counts) -> Floats:
    """Return how much each class wants labels, by its counts: (K,) to (K,), 1 for the rarest."""
    wanted = 1.0 / (np.asarray(counts, np.float64) + 1.0)
    relative: Floats = wanted / wanted.max()
    return relative


def rarity_margin(probabilities: Scores, counts: Counts) -> Floats:
    """Return the margin score weighed by how few labels the likely classes have.

    Args:
        probabilities: Shape (n, K).
        counts: Labels of each class, shape (K,).
    """
    scores: Floats = margin(probabilities) * (probabilities @ rarity(counts))
    return scores


def rarest_margin(probabilities: Scores, counts: Counts) -> Floats:
    """Return the margin score weighed by the square of how few labels the likely classes have.

    With its share of `NEAR_BEST` it finds more cells of rare classes than `rarity_margin`; suggestions learn slower.

    Args:
        probabilities: Shape (n, K).
        counts: Labels of each class, shape (K,).
    """
    scores: Floats = margin(probabilities) * (probabilities @ rarity(counts) ** 2)
    return scores


Rule = Callable[[Scores, Counts], Floats]

RULES: Registry[Rule] = Registry("acquisition", object, {
    "least-confident": lambda probabilities, _counts: least_confident(probabilities),
    "margin": lambda probabilities, _counts: margin(probabilities),
    "entropy": lambda probabilities, _counts: entropy(probabilities),
    "rarity-margin": rarity_margin,
    "rarest-margin": rarest_margin,
})  # fmt: skip
"""The rules that score a cell by the probe's probabilities, shape (n, K), and the labels of each class, shape (K,)."""
DEFAULT_RULE = "rarity-margin"


def scores_of(rule: str, probabilities: Scores, counts: Counts) -> Floats:
    """Score cells by a rule, which may be a package's, and hold it to what a score is.

    Args:
        rule: A name of `RULES`.
        probabilities: Shape (n, K).
        counts: Labels of each class, shape (K,).

    Returns:
        Shape (n,), 0 or more.

    Raises:
        LabelingError: The rule gives something else.
    """
    scores: Floats = np.asarray(RULES[rule](probabilities, counts))
    if scores.shape != (len(probabilities),) or not np.isfinite(scores).all() or (scores < 0).any():
        raise LabelingError(
            f"acquisition {rule}: gave scores of shape {scores.shape} for {len(probabilities)} cells, or some below 0 "
            "or not finite. Mend the rule, or choose another in cytojepa.toml."
        )
    return scores


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool's vectors, from which unit vectors are made only for the rows that are asked for."""

    vectors: Matrix
    """Shape (n, d), float16 on disk or any float."""
    scale: PoolScale

    def units(self, rows: Indices | slice = slice(None)) -> Singles:
        """Standardise rows and bring them to length 1, shape (rows, d), so that a dot product is a cosine."""
        return unit_vectors(self.vectors[rows], self.scale)


def unit_vectors(vectors: NDArray[np.floating], scale: PoolScale) -> Singles:
    """Standardise vectors and bring them to length 1, shape (n, d)."""
    spread = np.where(scale.std > 1e-12, scale.std, 1.0)
    units = singles(vectors) if vectors.dtype == np.float16 else np.array(vectors, np.float32)
    units -= scale.mean.astype(np.float32)
    units *= (1 / spread).astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", units, units))
    units /= np.maximum(lengths, np.float32(1e-12))[:, None]
    return units


def typical(view: PoolView, rows: Indices, count: int, *, seed: int) -> Indices:
    """Choose the row nearest to each of `count` cluster centres; the largest cluster first.

    Args:
        view: The pool.
        rows: Candidates, shape (m,); a large pool is sampled.
        count: How many; all rows when there are fewer.
        seed: Source of chance of the clustering.
    """
    if len(rows) <= count:
        return rows
    generator = np.random.default_rng(seed)
    if len(rows) > _CLUSTER_ROWS:
        rows = np.sort(generator.choice(rows, _CLUSTER_ROWS, replace=False))
    from sklearn.cluster import KMeans  # seconds to import, and every command looks at the names of the rules

    units = view.units(rows)
    clusters = KMeans(count, n_init=3, random_state=seed).fit(units)
    similarity = units @ clusters.cluster_centers_.T
    sizes = np.bincount(clusters.labels_, minlength=count)
    chosen: list[int] = []
    for cluster in np.argsort(-sizes, kind="stable"):
        order = np.argsort(-similarity[:, cluster], kind="stable")[: count + 1]
        chosen.append(next(int(row) for row in order if int(row) not in chosen))
    return rows[np.array(chosen, np.intp)]


def best_rows(scores: Scores, count: int) -> Indices:
    """Return the rows with the highest of the scores, shape (n,), best first, equal ones in their order.

    Linear in the number of rows: a pool of a million is not sorted.
    """
    if count <= 0 or not len(scores):
        return np.empty(0, np.intp)
    if count < len(scores):
        threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
        above = np.flatnonzero(scores > threshold)
        equal = np.flatnonzero(scores == threshold)[: count - len(above)]
        rows = np.sort(np.concatenate([above, equal]))
    else:
        rows = np.arange(len(scores))
    return rows[np.argsort(-scores[rows], kind="stable")]


def representative(
    scores: Scores, view: PoolView, count: int, known: Singles, near_best: float = 0.0
) -> Indices:  # fmt: skip
    """Choose rows that score high and stand for others that do: weighted herding over the best candidates.

    Uncertainty herding (Bae et al. 2025, Uncertainty Herding). Differs from the paper: candidates are
    the best of the whole pool by score, not a random sample, because rare cells are in no sample.

    Args:
        scores: Shape (n,); a row with a negative score is never chosen.
        view: The pool.
        count: How many.
        known: Unit vectors that are covered already, of labelled and leased cells, shape (m, d).
        near_best: Share of the best score that is left from which a row may be the next, 0 to 1; see `NEAR_BEST`.
    """
    top = best_rows(scores, max(CANDIDATES, 4 * count))
    top = top[scores[top] >= 0]
    worth = scores[top].astype(np.float32) + np.float32(1e-6)
    units = view.units(top)
    if not near_best:
        return top[_herd(units, worth, _covered(units, known), count)]
    covered, left, chosen = _covered(units, known), np.arange(len(top)), np.empty(0, np.intp)
    while len(chosen) < count and len(left):
        near = left[: max(_FEWEST_NEAR, np.searchsorted(-worth[left], -near_best * worth[left[0]], side="right"))]
        part = near[_herd(units[near], worth[near], covered[near], min(count - len(chosen), -(-len(near) // _PART)))]
        chosen, left = np.concatenate([chosen, part]), left[~np.isin(left, part)]
        covered[left] = np.maximum(covered[left], _covered(units[left], units[part]))
    return top[chosen]


def coverage(
    view: PoolView, rows: Indices, known: Singles, count: int, generator: np.random.Generator
) -> Indices:  # fmt: skip
    """Choose rows that stand for many cells which no labelled cell resembles.

    Unlike the cells that are farthest from everything, which are often debris, these lie where cells are.

    Args:
        view: The pool.
        rows: Candidates; a random sample of them is looked at.
        known: Unit vectors of the labelled cells, shape (m, d).
        count: How many.
        generator: The only source of chance.
    """
    size = max(COVERAGE_ROWS, 4 * count)
    sample = rows if len(rows) <= size else np.sort(rows[generator.choice(len(rows), size, replace=False)])
    units = view.units(sample)
    return sample[_herd(units, np.ones(len(sample), np.float32), _covered(units, known), count)]


def _covered(units: Singles, known: Singles) -> Singles:
    """Return how far each row has something like it among some unit vectors, shape (m, d): (n, d) to (n,), 0 to 1."""
    if not len(units) or not len(known):
        return np.zeros(len(units), np.float32)
    covered: Singles = np.exp(np.float32(2 * _COVERAGE_WIDTH) * ((units @ known.T).max(axis=1) - 1))
    return covered


def _herd(units: Singles, worth: Singles, covered: Singles, count: int) -> Indices:
    """Choose one after the other the row that brings the most worth closer to something chosen or covered before.

    What a row brings only shrinks as others are chosen (the sum is submodular), so a row whose old
    figure is not among the best need not be looked at again: lazy greedy, Minoux 1978.
    """
    if not len(units) or count <= 0:
        return np.empty(0, np.intp)
    likeness = units @ units.T
    likeness -= 1
    likeness *= np.float32(2 * _COVERAGE_WIDTH)
    np.exp(likeness, out=likeness)
    gain = _gains(likeness, covered, worth)
    chosen: list[int] = []
    for _ in range(min(count, len(units))):
        is_fresh = np.zeros(len(units), bool)
        best = int(np.argmax(gain))
        while not is_fresh[best]:
            # Only among stale ones: many fresh ones of equal worth, as where all is covered, would crowd the best out.
            old = np.where(is_fresh, np.float32(-1), gain)
            rows = np.argpartition(-old, min(_AT_ONCE, len(old) - 1))[:_AT_ONCE]
            rows = rows[old[rows] >= 0]
            gain[rows] = _gains(likeness[rows], covered, worth)
            is_fresh[rows] = True
            best = int(np.argmax(gain))
        chosen.append(best)
        gain[best] = -1.0
        covered = np.maximum(covered, likeness[best])
    return np.array(chosen, np.intp)


def _gains(likeness: Singles, covered: Singles, worth: Singles) -> Singles:
    """Return what each row of likeness, shape (rows, n), would bring: the worth that comes closer, shape (rows,)."""
    gains = np.empty(len(likeness), np.float32)
    # In pieces that stay in the cache: new megabytes for each of two steps cost more than the arithmetic.
    room = np.empty((min(_PIECE, len(likeness)), len(worth)), np.float32)
    for start in range(0, len(likeness), _PIECE):
        part = likeness[start : start + _PIECE]
        closer = np.subtract(part, covered, out=room[: len(part)])
        np.maximum(closer, 0, out=closer)
        np.matmul(closer, worth, out=gains[start : start + len(part)])
    return gains
