"""Which cells are worth a doctor's next look: pure functions of arrays. Higher means earlier.

Settles' terms (Active Learning Literature Survey, 2009). The default weighs uncertainty by the
rarity of the classes in question: on pools with about 2 % abnormal cells that finds several times
as many of them as chance, while pure coverage finds no more than chance.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

BATCH = 16
TOP_FACTOR = 5
"""Diversity chooses among this many times the batch."""
_CLUSTER_ROWS = 20_000


def least_confident(probabilities: Floats) -> Floats:
    """Return one minus the likeliest class's probability: (n, K) to (n,), 0 to 1 - 1/K."""
    scores: Floats = 1.0 - probabilities.max(axis=1)
    return scores


def margin(probabilities: Floats) -> Floats:
    """Return one minus the gap between the two likeliest classes: (n, K) to (n,), 0 to 1."""
    top = np.partition(probabilities, -2, axis=1)
    scores: Floats = 1.0 - (top[:, -1] - top[:, -2])
    return scores


def entropy(probabilities: Floats) -> Floats:
    """Return the entropy in units of its maximum: (n, K) to (n,), 0 to 1."""
    logs = np.log(np.maximum(probabilities, 1e-12))
    scores: Floats = -(probabilities * logs).sum(axis=1) / np.log(probabilities.shape[1])
    return scores


def rarity_margin(probabilities: Floats, counts: NDArray[np.intp]) -> Floats:
    """Return the margin score weighed by how few labels the likely classes have.

    Args:
        probabilities: Shape (n, K).
        counts: Labels of each class, shape (K,).
    """
    rarity = 1.0 / (counts + 1.0)
    scores: Floats = margin(probabilities) * (probabilities @ (rarity / rarity.max()))
    return scores


def unit_vectors(vectors: NDArray[np.floating]) -> Floats:
    """Centre vectors and bring them to length 1, so that a dot product is a cosine."""
    centred = np.asarray(vectors, np.float64) - np.asarray(vectors, np.float64).mean(axis=0)
    units: Floats = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return units


def typical(units: Floats, count: int, *, seed: int) -> Indices:
    """Choose the row nearest to each of `count` cluster centres; the largest cluster first.

    Args:
        units: Unit vectors, shape (n, d).
        count: How many; all rows when there are fewer.
        seed: Source of chance of the clustering.
    """
    if len(units) <= count:
        return np.arange(len(units))
    generator = np.random.default_rng(seed)
    sample = units
    if len(units) > _CLUSTER_ROWS:
        sample = units[generator.choice(len(units), _CLUSTER_ROWS, replace=False)]
    clusters = KMeans(count, n_init=1, random_state=seed).fit(sample)
    similarity = units @ clusters.cluster_centers_.T
    sizes = np.bincount(clusters.labels_, minlength=count)
    chosen: list[int] = []
    for cluster in np.argsort(-sizes, kind="stable"):
        order = np.argsort(-similarity[:, cluster], kind="stable")[: count + 1]
        chosen.append(next(int(row) for row in order if int(row) not in chosen))
    return np.array(chosen)


def diverse(scores: Floats, units: Floats, count: int, known: Floats | None = None) -> Indices:
    """Choose rows that score high and differ: weighted k-center over the best candidates.

    The first is the best; each next one maximises `score * (1 - nearest cosine to the chosen)`.

    Args:
        scores: Shape (n,), not negative.
        units: Unit vectors, shape (n, d).
        count: How many.
        known: Unit vectors to differ from as well, for example of leased cells.
    """
    top = np.argsort(-scores, kind="stable")[: count * TOP_FACTOR]
    far = np.ones(len(top))
    if known is not None and len(known):
        far = 1.0 - (units[top] @ known.T).max(axis=1)
    chosen: list[int] = []
    for _ in range(min(count, len(top))):
        worth = (scores[top] + 1e-9) * np.maximum(far, 1e-9)
        worth[chosen] = -1.0
        best = int(np.argmax(worth))
        chosen.append(best)
        far = np.minimum(far, 1.0 - units[top] @ units[top[best]])
    return top[np.array(chosen, np.intp)]


def coverage(units: Floats, known: Floats, count: int, generator: np.random.Generator) -> Indices:
    """Choose rows far from everything labelled, one after the other, out of a random sample."""
    sample = generator.permutation(len(units))[:2000]
    nearest = np.full(len(sample), -1.0)
    if len(known):
        nearest = (units[sample] @ known.T).max(axis=1)
    chosen: list[int] = []
    for _ in range(min(count, len(sample))):
        best = int(np.argmin(nearest))
        chosen.append(best)
        nearest = np.maximum(nearest, units[sample] @ units[sample[best]])
        nearest[chosen] = np.inf
    return sample[np.array(chosen, np.intp)]
