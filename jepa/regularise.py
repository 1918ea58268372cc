"""Terms that keep embeddings apart, and the projector in front of them. Pure functions of embeddings.

`Z` has shape (B, D): one embedding for each picture of a batch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_STD_EPS = 1e-4
VICREG_WEIGHTS = (25.0, 25.0, 1.0)
"""Invariance, variance and covariance (Bardes et al. 2022, section 4.2)."""
NUM_DIRECTIONS = 256
"""Random lines on which SIGReg looks at the embeddings."""
_LONGEST_T, _NUM_T = 5.0, 17


class Projector(nn.Sequential):
    """Three layers between the pooled tokens and a term, so that the term does not bind the encoder itself.

    Args:
        dim: Width of the pooled tokens.
        width: Width of the layers and of the result.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__(
            nn.Linear(dim, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Linear(width, width, bias=False),
        )  # fmt: skip


def variance_term(embeddings: Tensor) -> Tensor:
    """Return how far features, shape (B, D), fall short of a standard deviation of 1, mean over features.

    VICReg (Bardes et al. 2022, equations 1 and 2); C-JEPA puts it beside I-JEPA's loss.
    """
    deviations = (embeddings.float().var(dim=0) + _STD_EPS).sqrt()
    return functional.relu(1 - deviations).mean()


def covariance_term(embeddings: Tensor) -> Tensor:
    """Return the squared covariances between different features of shape (B, D), summed and divided by D.

    VICReg (Bardes et al. 2022, equations 3 and 4).
    """
    centred = embeddings.float() - embeddings.float().mean(dim=0)
    covariance = centred.T @ centred / max(1, len(centred) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / covariance.shape[0]


def vicreg_loss(first: Tensor, second: Tensor) -> Tensor:
    """Return VICReg's loss (Bardes et al. 2022) of a first and a second view's projected embeddings, each (B, D)."""
    alike, spread, apart = VICREG_WEIGHTS
    return (
        alike * functional.mse_loss(first.float(), second.float())
        + spread * 0.5 * (variance_term(first) + variance_term(second))
        + apart * (covariance_term(first) + covariance_term(second))
    )


def random_directions(dim: int, *, seed: int, step: int, device: torch.device) -> Tensor:
    """Return unit vectors as columns, shape (dim, NUM_DIRECTIONS): equal for equal seed and step."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    lines = torch.randn(dim, NUM_DIRECTIONS, generator=generator)
    return functional.normalize(lines, dim=0).to(device)


def sigreg_term(embeddings: Tensor, directions: Tensor) -> Tensor:
    """Return how far embeddings are from an isotropic normal distribution.

    SIGReg (Balestriero and LeCun 2025, section 4): along each line, the Epps-Pulley distance between
    the empirical characteristic function and that of N(0, 1), weighted by a normal density's shape,
    times the number of embeddings; mean over the lines. A collapsed batch scores a hundred times a
    normal one.

    Args:
        embeddings: Shape (B, D).
        directions: Unit vectors as columns, shape (D, lines).
    """
    shadows = embeddings.float() @ directions
    # The integrand is even: half the line, doubled.
    t = torch.linspace(0, _LONGEST_T, _NUM_T, device=shadows.device)
    normal = torch.exp(-0.5 * t.square())
    angles = shadows[:, :, None] * t
    distance = (angles.cos().mean(0) - normal).square() + angles.sin().mean(0).square()
    return len(embeddings) * 2 * torch.trapezoid(distance * normal, t, dim=-1).mean()
