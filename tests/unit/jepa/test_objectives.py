import dataclasses

import numpy as np
import pytest
import torch

from jepa.backbones import with_sizes_of_backbone
from jepa.config import RunConfig
from jepa.distributed import World
from jepa.errors import ConfigError
from jepa.masking import mask_generator
from jepa.model import IJepa
from jepa.objectives import MaskedAutoencoder, RegularisedIJepa, draw_masks, draw_masks_for, make_objective
from jepa.step import Learner, seed_model

SMALL = RunConfig(image_px=64, patch_px=16, dim=48, depth=2, heads=3, predictor_dim=24, predictor_depth=1,
                  predictor_heads=3, batch_size=6, steps=40, warmup=0.1, lr=2e-3)  # fmt: skip
ALL = [
    {}, {"objective": "mae"}, {"objective": "vicreg"}, {"objective": "dino"}, {"registers": 3},
    {"variance": 1.0, "covariance": 1.0}, {"sigreg": 0.05}, {"invariance": 0.1},
]  # fmt: skip


def _learner(**changes):
    config = with_sizes_of_backbone(dataclasses.replace(SMALL, **changes))
    return Learner(config, World(torch.device("cpu")), seed_model(config))


def _step(learner, step, pictures):
    masks = draw_masks(learner.config, 6, mask_generator(0, step))
    return learner.train_step(pictures, torch.from_numpy(masks.context), torch.from_numpy(masks.targets)).loss.item()


def _pictures(config):
    torch.manual_seed(1)
    tiles = torch.randn(6, 3, 64, 64)
    return torch.cat([tiles + 0.1 * torch.randn_like(tiles) for _ in range(config.views)])


@pytest.mark.parametrize("changes", ALL, ids=str)
def test_objective__is_learned_and_resumes_to_the_bit(changes):
    if changes.get("objective") == "dino":
        pytest.importorskip("lightly", reason="the extra baselines is not installed")
    unbroken = _learner(**changes)
    pictures = _pictures(unbroken.config)
    losses = [_step(unbroken, step, pictures) for step in range(4)]
    first = _learner(**changes)
    for step in range(2):
        _step(first, step, pictures)
    weights, moments = first.state()
    resumed = Learner(first.config, World(torch.device("cpu")), seed_model(first.config, weights),
                      step=2, moments=moments)  # fmt: skip

    assert [_step(resumed, step, pictures) for step in (2, 3)] == losses[2:]
    assert np.isfinite(losses).all()
    assert all(
        torch.equal(a, b) for a, b in zip(unbroken.state()[0].values(), resumed.state()[0].values(), strict=True)
    )


@pytest.mark.parametrize("objective", ["ijepa", "mae", "vicreg"])
def test_objective__loss_falls_on_one_batch(objective):
    learner = _learner(objective=objective, ema=0.9)
    pictures = _pictures(learner.config)
    losses = [_step(learner, step, pictures) for step in range(40)]

    assert np.mean(losses[-5:]) < 0.97 * np.mean(losses[:3])


def test_make_objective__plain_options_give_the_plain_model():
    assert type(make_objective(SMALL)) is IJepa


def test_mae__masks_hide_three_quarters_and_targets_are_the_hidden_pixels():
    config = dataclasses.replace(SMALL, objective="mae")
    masks = draw_masks(config, 6, mask_generator(0, 0))
    model = make_objective(config)
    pictures = torch.zeros(6, 3, 64, 64)
    pictures[:, :, 16:32, 0:8] = 1
    targets = model.targets(pictures, torch.full((1, 6, 1), 4))

    assert (masks.context.shape, masks.targets.shape) == ((6, 4), (1, 6, 12))
    assert sorted([*masks.context[0], *masks.targets[0, 0]]) == list(range(16))
    assert isinstance(model, MaskedAutoencoder)
    assert targets.shape == (6, 1, 768)
    torch.testing.assert_close(
        targets[0, 0].reshape(3, 16, 16)[0, 0], torch.tensor([1.0] * 8 + [-1.0] * 8), rtol=0, atol=1e-3
    )


def test_mae_and_vicreg__evaluate_the_trained_encoder_itself():
    for objective in ("mae", "vicreg"):
        learner = _learner(objective=objective)
        _step(learner, 0, _pictures(learner.config))
        model = learner.model
        own = model.encoder.state_dict()
        assert all(torch.equal(value, own[name]) for name, value in model.target_encoder.state_dict().items())


@pytest.mark.parametrize("term", ["variance", "covariance", "sigreg", "invariance"])
def test_terms__each_adds_to_the_loss_and_alone_changes_it(term):
    config = dataclasses.replace(SMALL, **{term: 1.0})
    masks = draw_masks(config, 6, mask_generator(0, 0))
    indices = (torch.from_numpy(masks.context), torch.from_numpy(masks.targets))
    plain, model = seed_model(SMALL), seed_model(config)
    model.load_state_dict({**model.state_dict(), **plain.state_dict()})
    pictures = _pictures(config)

    assert isinstance(model, RegularisedIJepa)
    assert model.loss(pictures, *indices) > plain.loss(pictures[:6], *indices)


def test_variance__keeps_embeddings_apart():
    """Weak targets collapse the small model; the term holds the spread up."""
    spread = {}
    for weight in (0.0, 5.0):
        learner = _learner(ema=0.5, final_ema=0.5, variance=weight, lr=5e-3)
        pictures = _pictures(learner.config)
        for step in range(40):
            _step(learner, step, pictures)
        with torch.no_grad():
            spread[weight] = learner.model.encode(pictures).mean(dim=1).std(dim=0).mean().item()

    assert spread[5.0] > 1.5 * spread[0.0]


def test_foreground_targets__follow_the_pictures():
    config = dataclasses.replace(SMALL, image_px=112, patch_px=8, foreground_targets=0.8)
    pictures = np.full((6, 112, 112, 3), 240, np.uint8)
    pictures[:, :, 56:] = (120, 60, 130)
    masks = draw_masks_for(config, lambda: pictures, 0, mask_generator(0, 0), slice(None))
    anywhere = dataclasses.replace(config, foreground_targets=0.0)
    plain = draw_masks_for(anywhere, lambda: pictures, 0, mask_generator(0, 0), slice(None))

    assert (masks.targets % 14 >= 7).mean() > 0.8
    assert (plain.targets % 14 >= 7).mean() < 0.7


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"backbone": "vit_nothing"}, "there are vit, resnet50 and timm's models"),
        ({"backbone": "convnext_tiny"}, "cannot leave masked patches out"),
        ({"backbone": "vit_small_patch14_dinov2"}, "image_px = 64 is no multiple of 14 px"),
        ({"backbone": "resnet50", "pooling": "mean4"}, "resnet50 has mean and centre"),
    ],
)
def test_backbone__that_does_not_fit(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        with_sizes_of_backbone(dataclasses.replace(SMALL, **changes))


def test_backbone__sizes_are_its_own():
    config = with_sizes_of_backbone(dataclasses.replace(SMALL, backbone="vit_small_patch14_reg4_dinov2", image_px=224))

    assert (config.dim, config.depth, config.heads, config.patch_px, config.registers) == (384, 12, 6, 14, 4)
    assert config.grid == (16, 16)
