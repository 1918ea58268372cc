"""Is the encoder still telling pictures apart? The loss cannot say: it also falls in a collapse."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_RANK_DROP = 0.7
_COSINE_LIMIT = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """A look at the hold-out's embeddings."""

    rankme: float
    """Effective rank: between 1 (all pictures alike) and the embedding's length."""
    feature_std: float
    """Mean standard deviation of a feature over the pictures."""
    mean_cosine: float
    """Mean cosine between two pictures' embeddings; near 1 means alike."""


def rankme(embeddings: Tensor) -> float:
    """Return the effective rank of embeddings: exp of the entropy of their singular values.

    RankMe (Garrido et al. 2023, equation 1).

    Args:
        embeddings: Shape (N, D).
    """
    values = torch.linalg.svdvals(embeddings.double())
    shares = values / values.sum().clamp_min(torch.finfo(torch.float64).tiny)
    shares = shares[shares > 0]
    return math.exp(float(-(shares * shares.log()).sum()))


def look(embeddings: Tensor) -> Health:
    """Measure embeddings of shape (N, D)."""
    units = functional.normalize(embeddings.double(), dim=1)
    count = len(units)
    cosine = (float(units.sum(0).square().sum()) - count) / max(1, count * (count - 1))
    return Health(
        rankme=rankme(embeddings),
        feature_std=float(embeddings.std(dim=0).mean()),
        mean_cosine=cosine,
    )


def warning(health: Health, best_rankme: float, *, past_warmup: bool) -> str | None:
    """Return a sentence when the embeddings are collapsing, else None.

    Args:
        health: The newest look.
        best_rankme: The highest effective rank of the run so far.
        past_warmup: Early looks say nothing yet.
    """
    if not past_warmup:
        return None
    if health.mean_cosine > _COSINE_LIMIT:
        return f"collapse: embeddings are nearly alike (mean cosine {health.mean_cosine:.2f}). Lower lr."
    if health.rankme < _RANK_DROP * best_rankme:
        return f"collapse: effective rank fell from {best_rankme:.1f} to {health.rankme:.1f}. Lower lr."
    return None
