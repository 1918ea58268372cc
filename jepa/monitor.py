"""Is the encoder still telling pictures apart? The loss cannot say: it also falls in a collapse.

Pure measures of embeddings and tokens, and the sentence that says when something is wrong.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from jepa.runlog import COLLAPSE

_RANK_DROP = 0.7
_COSINE_LIMIT = 0.95
_STD_DROP = 0.1
NEIGHBOURS = 10
"""Neighbours that vote on a tile's label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """A look at the target encoder's view of pictures that training never uses."""

    rankme: float
    """Effective rank: between 1 (all pictures alike) and the embedding's length."""
    feature_std: float
    """Mean standard deviation of a feature over the pictures."""
    mean_cosine: float
    """Mean cosine between two pictures' embeddings; near 1 means alike."""
    patch_rankme: float | None = None
    """Effective rank of single patch tokens."""
    predictor_r2: float | None = None
    """Share of the targets' variance that the predictor explains beyond the mean at their place."""
    knn_balanced_accuracy: float | None = None
    """Of the 10 nearest labelled tiles of other slides, mean over the categories."""
    knn_chance: float | None = None
    """What guessing reaches: 1 / categories."""


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


def predictor_r2(guesses: Tensor, tokens: Tensor, places: Tensor) -> float | None:
    """Return how much better the predictor is than the mean target at each position.

    The mean is taken over the other pictures, so a predictor that only learned positions gets 0.

    Args:
        guesses: Shape (M, B, L, D).
        tokens: What is to be predicted at every place of each picture, shape (B, N, D).
        places: Which of them the guesses are for, shape (M, B, L).

    Returns:
        1 is perfect, 0 no better than the mean; None when all pictures have the same targets.
    """
    count = len(tokens)
    rows = torch.arange(count, device=tokens.device)[None, :, None]
    wanted = tokens[rows, places].double()
    others = (tokens.double().sum(0)[places] - wanted) / max(1, count - 1)
    spread = float((wanted - others).square().sum())
    if count < 2 or spread <= torch.finfo(torch.float32).eps * float(wanted.square().sum()):
        return None
    return 1 - float((guesses.double() - wanted).square().sum()) / spread


def knn_balanced_accuracy(embeddings: Tensor, codes: Tensor, groups: Tensor) -> float | None:
    """Guess each tile's label from its nearest tiles of other groups; mean over the categories.

    Neighbours vote with their cosine. Tiles of one slide share stain and focus, so a neighbour of
    the same slide would flatter.

    Args:
        embeddings: Shape (N, D).
        codes: Labels, shape (N,), int64 from 0.
        groups: Slides, shape (N,), int64.

    Returns:
        Between 0 and 1; None with fewer than two categories, or when every tile has one slide.
    """
    present = codes.bincount().nonzero().flatten()
    if len(present) < 2 or bool((groups == groups[0]).all()):
        return None
    units = functional.normalize(embeddings.float() - embeddings.float().mean(0), dim=1)
    similarity = (units @ units.T).masked_fill(groups[:, None] == groups[None], -math.inf)
    closeness, nearest = similarity.topk(min(NEIGHBOURS, len(codes)), dim=1)
    weight = torch.where(closeness.isfinite(), 1 + closeness, 0.0)
    votes = torch.zeros(len(codes), int(codes.max()) + 1).scatter_add_(1, codes[nearest], weight)
    is_right = votes.argmax(1) == codes
    return float(torch.stack([is_right[codes == code].float().mean() for code in present]).mean())


def warning(health: Health, best_rankme: float, *, past_warmup: bool, first_std: float | None = None) -> str | None:
    """Return a sentence when the embeddings are collapsing, else None.

    Args:
        health: The newest look.
        best_rankme: The highest effective rank of the run so far.
        past_warmup: Early looks say nothing yet.
        first_std: `feature_std` of the run's first look.
    """
    if not past_warmup:
        return None
    remedy = "Lower lr, or set variance, covariance or sigreg."
    if health.mean_cosine > _COSINE_LIMIT:
        return f"{COLLAPSE}: embeddings are nearly alike (mean cosine {health.mean_cosine:.2f}). {remedy}"
    if health.rankme < _RANK_DROP * best_rankme:
        return f"{COLLAPSE}: effective rank fell from {best_rankme:.1f} to {health.rankme:.1f}. {remedy}"
    if first_std and health.feature_std < _STD_DROP * first_std:
        return f"{COLLAPSE}: the spread of a feature fell from {first_std:.3f} to {health.feature_std:.3f}. {remedy}"
    if health.predictor_r2 is not None and health.predictor_r2 < 0:
        return (
            f"the predictor is worse than the mean target at each position (R2 {health.predictor_r2:.2f}): "
            "it has learned nothing about single pictures yet. Train longer, or change lr."
        )
    return None
