import pytest
import torch

from jepa import monitor
from jepa.monitor import Health, knn_balanced_accuracy, predictor_r2, rankme, warning


def test_rankme__counts_directions():
    spread = torch.eye(8).repeat(4, 1)

    assert rankme(spread) == pytest.approx(8)
    assert rankme(torch.ones(32, 8)) == pytest.approx(1, abs=1e-6)


def test_look__alike_and_different():
    torch.manual_seed(0)
    alike = monitor.look(torch.ones(64, 16) + 0.01 * torch.randn(64, 16))
    different = monitor.look(torch.randn(64, 16))

    assert alike.mean_cosine > 0.99
    assert abs(different.mean_cosine) < 0.05
    assert different.feature_std == pytest.approx(1, abs=0.1)
    assert different.rankme > 12


@pytest.fixture
def tokens():
    torch.manual_seed(1)
    return torch.randn(50, 9, 4) + 10 * torch.arange(9.0)[None, :, None]


PLACES = torch.arange(9).reshape(3, 1, 3).expand(3, 50, 3)


def _wanted(tokens):
    return tokens[torch.arange(50)[None, :, None], PLACES]


def test_predictor_r2__mean_of_the_others_is_zero(tokens):
    others = (tokens.sum(0) - tokens) / 49

    assert predictor_r2(_wanted(tokens), tokens, PLACES) == pytest.approx(1)
    assert predictor_r2(_wanted(others), tokens, PLACES) == pytest.approx(0, abs=1e-6)
    assert predictor_r2(-_wanted(tokens), tokens, PLACES) < 0


def test_predictor_r2__positions_alone_explain_nothing(tokens):
    """A predictor that knows each place's mean has a tiny plain error, and still no R2."""
    mean = tokens.mean(0).expand(50, 9, 4)

    assert predictor_r2(_wanted(mean), tokens, PLACES) == pytest.approx(0, abs=0.05)


def test_predictor_r2__collapsed_targets():
    assert predictor_r2(torch.zeros(3, 50, 3, 4), torch.ones(50, 9, 4), PLACES) is None


def test_knn__ignores_the_own_slide():
    """Two clusters; every cluster is one slide, so neighbours of other slides are of the other label."""
    codes = torch.tensor([0] * 10 + [1] * 10)
    points = torch.eye(2)[codes] + 0.01 * torch.arange(20)[:, None]

    assert knn_balanced_accuracy(points, codes, groups=codes) == 0
    assert knn_balanced_accuracy(points, codes, groups=torch.arange(20)) == 1


def test_knn__balanced_over_categories():
    """Guessing the frequent one reaches a half, not nine tenths."""
    codes = torch.tensor([0] * 36 + [1] * 4)
    torch.manual_seed(0)

    assert knn_balanced_accuracy(torch.randn(40, 8), codes, torch.arange(40)) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("codes", "groups"), [([0, 0, 0], [0, 1, 2]), ([0, 1, 0], [5, 5, 5])])
def test_knn__nothing_to_compare(codes, groups):
    assert knn_balanced_accuracy(torch.randn(3, 2), torch.tensor(codes), torch.tensor(groups)) is None


HEALTHY = {"rankme": 40.0, "feature_std": 0.5, "mean_cosine": 0.3}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mean_cosine": 0.97}, "nearly alike (mean cosine 0.97)"),
        ({"rankme": 20.0}, "effective rank fell from 50.0 to 20.0"),
        ({"feature_std": 0.01}, "spread of a feature fell from 0.400 to 0.010"),
        ({"predictor_r2": -0.2}, "worse than the mean target at each position (R2 -0.20)"),
    ],
)
def test_warning__each_kind(change, sentence):
    sick = Health(**HEALTHY | change)

    assert sentence in warning(sick, 50.0, past_warmup=True, first_std=0.4)
    assert warning(sick, 50.0, past_warmup=False, first_std=0.4) is None
    assert warning(Health(**HEALTHY), 50.0, past_warmup=True, first_std=0.4) is None
