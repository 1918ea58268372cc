"""Agreement between annotators."""

import pytest
from sklearn.metrics import cohen_kappa_score

from labeling.agreement import pairs


def test_pairs__kappa_equals_the_reference_implementation() -> None:
    ada = dict(zip("abcdefghijkl", ["NILM"] * 5 + ["LSIL"] * 4 + ["HSIL"] * 3, strict=True))
    ben = {**ada, "a": "LSIL", "f": "HSIL", "l": "NILM"}
    (found,) = pairs({"ada": ada, "ben": ben})

    assert found.cells == 12
    assert found.same == pytest.approx(9 / 12)
    assert found.kappa == pytest.approx(cohen_kappa_score(list(ada.values()), [ben[c] for c in ada]))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.kappa < found.high


def test_pairs__without_variation_has_no_kappa() -> None:
    (found,) = pairs({"ada": {"a": "NILM", "b": "NILM"}, "ben": {"a": "NILM", "b": "NILM"}})

    assert (found.same, found.kappa, found.low) == (1.0, None, None)


def test_pairs__only_common_cells_count() -> None:
    found = pairs({"ada": {"a": "NILM"}, "ben": {"a": "LSIL", "b": "NILM"}, "eve": {"c": "NILM"}})

    assert [(pair.first, pair.second, pair.cells) for pair in found] == [("ada", "ben", 1)]
