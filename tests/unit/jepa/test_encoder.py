import dataclasses

import numpy as np
import pytest
import torch

from jepa.config import RunConfig
from jepa.encoder import CENTRE_UM, embed_batch, random_encoder

SMALL = RunConfig(image_px=64, dim=16, depth=4, heads=2, predictor_dim=16, predictor_depth=1, predictor_heads=2)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(("pooling", "parts"), [("mean", 1), ("mean4", 4), ("centre", 2)])
def test_embed__length_follows_pooling(pooling: str, parts: int) -> None:
    encoder = random_encoder(dataclasses.replace(SMALL, pooling=pooling), seed=0)

    assert encoder.embed(pictures(3)).shape == (3, encoder.dim) == (3, parts * 16)


def test_embed__centre_is_mean_and_middle_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, pooling="centre")
    rows, columns = np.mgrid[:8, :8]
    is_near = np.hypot(rows - 3.5, columns - 3.5) * 8 * config.mpp <= CENTRE_UM
    tokens = torch.tensor(is_near.reshape(1, 64, 1), dtype=torch.float32).expand(2, 64, 16)
    monkeypatch.setattr("jepa.encoder.encode_layers", lambda vit, batch, layers: [tokens])
    found = embed_batch(None, None, config)

    assert 0 < is_near.sum() < 64
    assert found[:, 16:].eq(1).all()
    assert found[:, :16].numpy() == pytest.approx(is_near.mean())


def test_embed__centre_is_never_empty() -> None:
    config = dataclasses.replace(SMALL, pooling="centre", patch_px=32, mpp=1.0)

    assert np.isfinite(random_encoder(config, seed=0).embed(pictures(1))).all()


def test_fingerprint__tells_poolings_apart() -> None:
    mean, centre = (random_encoder(dataclasses.replace(SMALL, pooling=p), seed=0) for p in ("mean", "centre"))

    assert mean.fingerprint != centre.fingerprint


def test_prepare__keeps_the_scale() -> None:
    crop = np.zeros((256, 256, 3), np.uint8)
    crop[96:160, 96:160] = 255
    encoder = random_encoder(SMALL, seed=0)
    prepared = encoder.prepare(crop, 0.25)

    assert prepared.shape == (64, 64, 3)
    assert (prepared[:, :, 0] > 127).sum() == 32 * 32
