"""Several answers become one, and doctors are weighed by what is measured."""

import numpy as np
import pytest

from labeling.reference import (
    FEWEST_SHARED,
    Votes,
    collect,
    dawid_skene,
    dispute_weight,
    likely_slips,
    reliability,
    soft_labels,
)  # fmt: skip

# Made with seed 7 as below; labels and accuracies by crowd-kit 1.4.2, DawidSkene(n_iter=100, tol=1e-8).
CROWD_KIT_LABELS = [2, 1, 2, 2, 1, 2, 2, 0, 0, 0, 0, 2, 2, 0, 1, 2, 0, 2, 0, 1,
                    2, 0, 1, 0, 2, 0, 2, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 2]  # fmt: skip
CROWD_KIT_ACCURACY = [0.96886, 0.80863, 0.7357, 0.70767]
CROWD_KIT_THIRD_CELL = [0.00389, 0.0, 0.99611]


def _known_table() -> Votes:
    generator = np.random.default_rng(7)
    truth = generator.integers(3, size=40)
    rows = []
    for doctor, accuracy in enumerate([0.9, 0.8, 0.65, 0.5]):
        for cell in range(40):
            if (cell + doctor) % 4 != 0 or doctor == 0:
                is_right = generator.random() < accuracy
                rows.append((cell, doctor, int(truth[cell]) if is_right else int(generator.integers(3))))
    cells, doctors, classes = np.array(rows).T
    return Votes(cells=cells, annotators=doctors, classes=classes, num_cells=40, num_annotators=4, num_classes=3)


def _simulated(cells: int = 400, seed: int = 0) -> tuple[Votes, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(4, size=cells)
    rows = []
    for doctor, accuracy in enumerate([0.9, 0.5, 0.45]):
        answers = np.where(generator.random(cells) < accuracy, truth, generator.integers(4, size=cells))
        rows += [(cell, doctor, answers[cell]) for cell in range(cells)]
    columns = np.array(rows).T
    votes = Votes(cells=columns[0], annotators=columns[1], classes=columns[2], num_cells=cells, num_annotators=3,
                  num_classes=4)  # fmt: skip
    return votes, truth


def test_dawid_skene__equals_crowd_kit() -> None:
    found = dawid_skene(_known_table())

    assert found.probabilities.argmax(axis=1).tolist() == CROWD_KIT_LABELS
    assert found.probabilities[2] == pytest.approx(CROWD_KIT_THIRD_CELL, abs=2e-4)
    assert found.accuracy() == pytest.approx(CROWD_KIT_ACCURACY, abs=2e-3)


def test_dawid_skene__finds_the_weak_reader_and_beats_the_majority() -> None:
    votes, truth = _simulated()
    found = dawid_skene(votes)
    majority = votes.counts().argmax(axis=1)

    assert found.accuracy() == pytest.approx([0.925, 0.625, 0.59], abs=0.08)
    assert (found.probabilities.argmax(axis=1) == truth).mean() > (majority == truth).mean() + 0.05


def test_dawid_skene__a_probe_decides_where_doctors_cannot() -> None:
    votes = Votes(cells=np.array([0, 0]), annotators=np.array([0, 1]), classes=np.array([0, 1]), num_cells=1,
                  num_annotators=2, num_classes=2)  # fmt: skip
    found = dawid_skene(votes, cell_prior=np.array([[0.2, 0.8]]), smoothing=2.0)

    assert found.probabilities[0, 1] > 0.7


def test_reliability__is_one_until_enough_cells_are_shared() -> None:
    votes, _ = _simulated(cells=FEWEST_SHARED - 1)
    many, _ = _simulated()

    assert reliability(votes).tolist() == [1.0, 1.0, 1.0]
    assert reliability(many).max() == 1.0
    assert reliability(many)[2] < 0.75


def test_soft_labels__shares_add_up_and_weigh() -> None:
    answers = [("c", "ada", "NILM"), ("c", "ben", "LSIL"), ("d", "ada", "LSIL")]
    votes, cells, doctors = collect(answers, ("NILM", "LSIL"))
    shares = soft_labels(votes, np.array([1.0, 0.25]))

    assert (cells, doctors) == (["c", "d"], ["ada", "ben"])
    assert shares.tolist() == [[0.8, 0.2], [0.0, 1.0]]


def test_slips__wrong_labels_come_first_and_sure_ones_never() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(200) % 4
    probabilities = generator.dirichlet(np.ones(4), size=200) * 0.3
    probabilities[np.arange(200), truth] += 0.7
    labels = truth.copy()
    wrong = generator.choice(200, 10, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 4
    found = likely_slips(probabilities, labels, most=30)

    assert set(found.tolist()) <= set(wrong.tolist())
    assert len(found) >= 5
    assert likely_slips(probabilities, truth).tolist() == []
    assert len(likely_slips(probabilities, labels, most=3)) == 3


def test_dispute__even_and_rare_ones_come_first() -> None:
    totals = {"NILM": 400, "LSIL": 40, "SCC": 4}

    assert dispute_weight(["NILM", "NILM"], totals) == 0
    assert dispute_weight(["NILM", "SCC"], totals) > dispute_weight(["NILM", "LSIL"], totals)
    assert dispute_weight(["NILM", "SCC"], totals) > dispute_weight(["NILM", "NILM", "NILM", "SCC"], totals)
