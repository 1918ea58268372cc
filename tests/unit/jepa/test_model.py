import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jepa.backbones import encode, encode_layers, patch_tokens, vision_transformer
from jepa.config import RunConfig
from jepa.errors import ConfigError
from jepa.model import IJepa, distinct_patches
from jepa.positions import sin_cos_table

CASES = ["a_p8_i64", "b_p16_i224", "c_two_ctx_three_tgt"]
SMALL = RunConfig(image_px=32, dim=16, depth=2, heads=2, predictor_dim=16, predictor_depth=1, predictor_heads=2)


def config_of(sizes, **changes):
    return RunConfig(
        image_px=sizes["img"],
        patch_px=sizes["patch"],
        dim=sizes["dim"],
        depth=sizes["depth"],
        heads=sizes["heads"],
        predictor_dim=sizes["pred_dim"],
        predictor_depth=sizes["pred_depth"],
        predictor_heads=sizes["pred_heads"],
        **{"target_passes": "separate"} | changes,
    )


@pytest.fixture(params=CASES)
def case(request, golden, load_case):
    sizes, arrays = load_case(request.param)
    model = IJepa(config_of(sizes))
    encoder = load_file(golden / f"{request.param}_encoder.safetensors")
    model.encoder.load_state_dict(encoder, strict=True)
    model.target_encoder.load_state_dict(encoder, strict=True)
    predictor = load_file(golden / f"{request.param}_predictor.safetensors")
    model.predictor.load_state_dict(predictor, strict=True)
    masks = [
        torch.from_numpy(np.stack([arrays[f"{kind}_mask_{i}"] for i in range(sizes[count])]))
        for kind, count in (("ctx", "nenc"), ("tgt", "npred"))
    ]
    return model, torch.from_numpy(arrays["images"]), *masks, arrays


def assert_near(found, expected, tolerance=2e-5):
    assert tuple(found.shape) == expected.shape
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=tolerance)


def test_encoder__golden(case):
    model, images, context, _, arrays = case
    without_positions = patch_tokens(model.encoder, images) - model.encoder.pos_embed

    assert_near(without_positions, arrays["patch_tokens"])
    assert_near(encode(model.encoder, images), arrays["enc_full"])
    assert_near(encode(model.encoder, images, context), arrays["enc_context"])
    assert_near(encode(model.encoder, images).mean(1), arrays["avgpool_last"])


def test_encode_layers__golden(case):
    model, images, _, _, arrays = case
    layers = encode_layers(model.encoder, images, len(model.encoder.blocks))
    pooled = torch.stack([tokens.mean(1) for tokens in layers])
    raw = encode_layers(model.encoder, images, len(model.encoder.blocks), is_normed=False)

    assert_near(pooled, arrays["pooled_normed_block_outputs"])
    assert_near(torch.stack([tokens.mean(1) for tokens in raw]), arrays["pooled_block_outputs"])


def test_predictor_and_loss__golden(case):
    model, images, context, targets, arrays = case
    wanted = model.targets(images, targets, contexts=len(context))

    assert_near(model.predict(images, context, targets), arrays["pred_out"])
    assert_near(wanted, arrays["targets"])
    assert_near(model.loss(images, context, targets), arrays["loss_smooth_l1"], 1e-5)
    guess = model.predict(images, context, targets)
    assert_near(torch.nn.functional.mse_loss(guess, wanted), arrays["loss_mse"], 1e-5)
    assert_near(model.targets(images, torch.arange(model.encoder.pos_embed.shape[1]).expand(1, len(images), -1)),
                arrays["target_normed_full"])  # fmt: skip


@pytest.fixture
def small():
    torch.manual_seed(0)
    return IJepa(SMALL)


def test_initialise__statistics():
    torch.manual_seed(0)
    model = IJepa(dataclasses.replace(SMALL, dim=96, depth=4))
    for block in model.encoder.blocks:
        assert block.mlp.fc2.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert block.attn.proj.bias.abs().max() == 0
    assert model.predictor.mask_token.abs().max() > 0


def test_positions__frozen(small):
    frozen = [name for name, p in small.named_parameters() if not p.requires_grad]

    assert "encoder.pos_embed" in frozen
    assert "predictor.predictor_pos_embed" in frozen
    assert all(p.requires_grad is False for p in small.target_encoder.parameters())


def test_joint__one_target_equals_separate(small):
    images = torch.randn(3, 3, 32, 32)
    context = torch.tensor([[0, 1, 2]] * 3)
    targets = torch.tensor([[[5, 6, 9]] * 3])
    joint = small.predict(images, context, targets)
    small.predictor.joint = False

    torch.testing.assert_close(small.predict(images, context, targets), joint)


def test_union__asks_each_patch_once_and_answers_every_block(small):
    """Without overlap it is the joint pass; with overlap both blocks get the one answer."""
    images = torch.randn(2, 3, 32, 32)
    context = torch.tensor([[[0, 1], [2, 3]], [[1, 4], [0, 5]]])
    apart = torch.tensor([[[6, 7], [8, 9]], [[10, 11], [12, 13]]])
    overlapping = torch.tensor([[[6, 7], [8, 9]], [[7, 11], [12, 13]]])
    joint = small.predict(images, context, apart)
    small.predictor.joint, small.predictor.union = False, True
    torch.testing.assert_close(small.predict(images, context, apart), joint)
    asked, places = distinct_patches(overlapping, 16)

    assert asked.tolist() == [[6, 7, 11, 6], [8, 9, 12, 13]]
    assert torch.equal(asked[torch.arange(2)[:, None], places], overlapping)
    found = small.predict(images, context, overlapping).reshape(2, 2, 2, 2, -1)
    torch.testing.assert_close(found[0, :, 0, 1], found[1, :, 0, 0], rtol=0, atol=0)


def test_joint__row_order(small):
    images = torch.randn(2, 3, 32, 32)
    context = torch.tensor([[[0, 1], [2, 3]], [[1, 4], [0, 5]]])
    targets = torch.tensor([[[6, 7], [8, 9]], [[10, 11], [12, 13]], [[14, 15], [14, 15]]])
    # Without blocks a prediction depends on its own position only, so the order shows.
    small.predictor.predictor_blocks = torch.nn.Sequential()
    joint = small.predict(images, context, targets)
    small.predictor.joint = False

    torch.testing.assert_close(small.predict(images, context, targets), joint)
    assert joint.shape == (3 * 2 * 2, 2, 16)


def test_encode__other_grid(small):
    tall = torch.randn(1, 3, 48, 16)

    assert encode(small.encoder, tall).shape == (1, 12, 16)
    difference = patch_tokens(small.encoder, tall) - patch_tokens(small.encoder, tall.roll(8, 2))
    assert difference.abs().max() > 0


def test_predict__non_square_positions(small):
    """A model built for other pictures predicts as one that was built for these: all tables are made anew."""
    wide = torch.randn(2, 3, 16, 64)
    context, targets = torch.tensor([[[0, 1], [2, 9]]]), torch.tensor([[[4, 5], [12, 13]], [[6, 7], [14, 15]]])
    square = small.predict(wide.reshape(2, 3, 32, 32), context, targets)
    found = small.predict(wide, context, targets)
    table = torch.tensor(sin_cos_table((2, 8), 16))
    with torch.no_grad():
        small.encoder.pos_embed[0] = small.predictor.predictor_pos_embed[0] = table
        small.encoder.patch_embed.grid_size = small.predictor.grid = (2, 8)

    assert not torch.equal(found, square)
    torch.testing.assert_close(small.predict(wide, context, targets), found, rtol=0, atol=0)


def test_published_size__gives_the_same_weights_shapes():
    """The giant's hidden width, 48/11 of 1408, is not rounded away."""
    assert vision_transformer(dataclasses.replace(SMALL, dim=88, heads=2, mlp_ratio=48 / 11)).blocks[
        0
    ].mlp.fc1.weight.shape == (384, 88)


def test_encode__ragged_size(small):
    with pytest.raises(ConfigError, match="30 x 32 px is no whole number of patches of 8 px"):
        encode(small.encoder, torch.randn(1, 3, 32, 30))


def test_update_target__moves_towards_encoder(small):
    with torch.no_grad():
        small.encoder.norm.bias.fill_(1.0)
    small.update_target(0.75)

    assert small.target_encoder.norm.bias.tolist() == [0.25] * 16


def test_loss__no_gradient_into_target(small):
    context, targets = torch.tensor([[0, 1]]), torch.tensor([[[4, 5]]])
    small.loss(torch.randn(1, 3, 32, 32), context, targets).backward()

    assert all(p.grad is None for p in small.target_encoder.parameters())
    assert small.encoder.patch_embed.proj.weight.grad.abs().max() > 0
