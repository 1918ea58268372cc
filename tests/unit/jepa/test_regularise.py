import pytest
import torch

from jepa.regularise import (
    covariance_term,
    random_directions,
    sigreg_term,
    variance_term,
    vicreg_loss,
)


@pytest.fixture
def normal():
    torch.manual_seed(0)
    return torch.randn(512, 64)


def test_variance__punishes_features_below_one(normal):
    assert variance_term(normal) < 0.05
    assert variance_term(0.1 * normal) == pytest.approx(0.9, abs=0.02)
    assert variance_term(3 * normal) == 0


def test_covariance__punishes_copies(normal):
    copied = normal[:, :1].expand(-1, 64) + 0.01 * normal

    assert covariance_term(normal) < 0.2
    assert covariance_term(copied) == pytest.approx(63, rel=0.15)


def test_covariance__by_hand():
    """Two features with covariance 2: both off-diagonal entries squared, over two features."""
    embeddings = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])

    assert covariance_term(embeddings).item() == pytest.approx((4 + 4) / 2)


def test_sigreg__normal_is_small_collapse_and_stretch_are_large(normal):
    lines = random_directions(64, seed=0, step=0, device=torch.device("cpu"))

    assert sigreg_term(normal, lines) == pytest.approx(1.2, abs=0.3)
    assert sigreg_term(0.001 * normal, lines) > 150
    assert sigreg_term(5 * normal, lines) > 50
    assert sigreg_term(normal + 2, lines) > 50


def test_sigreg__gradient_spreads_a_collapsed_batch(normal):
    embeddings = (0.1 * normal[:128, :8]).requires_grad_()
    optimiser = torch.optim.SGD([embeddings], lr=1.0)
    for step in range(120):
        optimiser.zero_grad()
        lines = random_directions(8, seed=0, step=step, device=torch.device("cpu"))
        sigreg_term(embeddings, lines).backward()
        optimiser.step()

    assert embeddings.std(dim=0).mean().item() == pytest.approx(1, abs=0.15)


def test_directions__equal_for_equal_steps_only():
    device = torch.device("cpu")
    first, again, other = (random_directions(16, seed=3, step=step, device=device) for step in (7, 7, 8))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.allclose(first.norm(dim=0), torch.ones(first.shape[1]))


def test_terms__agree_with_lightly(normal):
    losses = pytest.importorskip("lightly.loss", reason="the extra baselines is not installed")
    second = normal.flip(0) * 0.4
    lines = random_directions(64, seed=0, step=0, device=torch.device("cpu"))

    assert vicreg_loss(normal, second).item() == pytest.approx(losses.VICRegLoss()(normal, second).item(), rel=1e-5)
    theirs = losses.SIGReg(num_vectors=4096, t_max=5.0)(normal).item()
    assert sigreg_term(normal, lines).item() == pytest.approx(theirs, rel=0.15)
