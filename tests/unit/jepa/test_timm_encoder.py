"""Weights of timm's models from local files: for embedding and to start from."""

import dataclasses

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from jepa.backbones import encode, with_sizes_of_backbone
from jepa.checkpoint import load_weights
from jepa.config import RunConfig
from jepa.encoder import load_timm_encoder
from jepa.errors import CheckpointError
from jepa.step import seed_model

NAME = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return timm.create_model(NAME, pretrained=False)


@pytest.fixture(scope="module")
def file(vit, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / f"{NAME}.safetensors"
    save_file(vit.state_dict(), path)
    return path


def _without_class_token(vit):
    """The same network through timm's own code, with nothing in the class token's place."""
    own = timm.create_model(NAME, pretrained=False, num_classes=0, class_token=False, global_pool="avg", fc_norm=False)
    state = {name: value for name, value in vit.state_dict().items() if not name.startswith(("head", "cls"))}
    state["pos_embed"] = state["pos_embed"][:, 1:]
    own.load_state_dict(state)
    return own.eval()


def test_timm_encoder__equals_timm_without_the_class_token(vit, file):
    encoder = load_timm_encoder(NAME, file)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    light = torch.from_numpy(pictures).float().permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        wanted = _without_class_token(vit)((light - 0.5) / 0.5)

    assert (encoder.dim, encoder.image_px, encoder.config.mean) == (192, 224, (0.5, 0.5, 0.5))
    np.testing.assert_allclose(encoder.embed(pictures), wanted.numpy(), atol=2e-4)


def test_timm_encoder__another_size_resamples_the_positions(file):
    encoder = load_timm_encoder(NAME, file, {"image_px": "112"})

    assert encoder.embed(np.zeros((1, 112, 112, 3), np.uint8)).shape == (1, 192)


def test_timm_encoder__network_of_another_kind(tmp_path):
    torch.manual_seed(0)
    net = timm.create_model("resnet18", pretrained=False).eval()
    torch.save(net.state_dict(), tmp_path / "resnet18.pth")
    encoder = load_timm_encoder("resnet18", tmp_path / "resnet18.pth")
    pictures = np.full((1, 224, 224, 3), 128, np.uint8)
    mean, std = (torch.tensor(encoder.config.to_dict()[name]) for name in ("mean", "std"))
    light = ((torch.full((1, 224, 224, 3), 128 / 255) - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = net.forward_head(net.forward_features(light), pre_logits=True)

    assert encoder.dim == 512
    np.testing.assert_allclose(encoder.embed(pictures), wanted.numpy(), atol=1e-3)


def test_timm_encoder__weights_of_another_model(file, tmp_path):
    with pytest.raises(CheckpointError, match="another model than vit_small_patch16_224"):
        load_timm_encoder("vit_small_patch16_224", file)
    with pytest.raises(CheckpointError, match="names and shapes differ"):
        load_timm_encoder("resnet18", file)
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"broken.safetensors: missing or damaged"):
        load_timm_encoder(NAME, tmp_path / "broken.safetensors")


def test_init__starts_from_the_file_without_rescaling(vit, file):
    run = RunConfig(image_px=224, batch_size=2, predictor_dim=24, predictor_depth=1, predictor_heads=3)
    weights, config = load_weights(file, run)
    model = seed_model(config, weights)
    pictures = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        wanted = _without_class_token(vit).forward_features(pictures)
        found = encode(model.encoder.eval(), pictures)

    assert (config.dim, config.depth, config.heads, config.patch_px) == (192, 12, 3, 16)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-4)
    assert torch.equal(model.encoder.blocks[11].mlp.fc2.weight, vit.blocks[11].mlp.fc2.weight)
    assert not model.encoder.pos_embed.requires_grad


def test_init__positions_can_be_swapped(file):
    run = RunConfig(image_px=224, positions="sincos")
    kept, swapped = (load_weights(file, dataclasses.replace(run, positions=rule))[0] for rule in ("keep", "sincos"))

    assert not torch.equal(kept["encoder.pos_embed"], swapped["encoder.pos_embed"])
    assert torch.equal(kept["encoder.norm.weight"], swapped["encoder.norm.weight"])


def test_init__resnet50(tmp_path):
    torch.manual_seed(0)
    net = timm.create_model("resnet50", pretrained=False)
    save_file(net.state_dict(), tmp_path / "resnet50.safetensors")
    weights, config = load_weights(tmp_path / "resnet50.safetensors", RunConfig(image_px=112))
    model = seed_model(with_sizes_of_backbone(config), weights)

    assert config.backbone == "resnet50"
    assert torch.equal(model.target_encoder.layer3[5].conv3.weight, net.layer3[5].conv3.weight)


def test_init__registers_and_layer_scale_of_a_named_model(tmp_path):
    name = "vit_small_patch14_reg4_dinov2"
    net = timm.create_model(name, pretrained=False, img_size=56)
    with torch.no_grad():
        net.reg_token.normal_()
    save_file(net.state_dict(), tmp_path / "a.safetensors")
    run = RunConfig(image_px=56, backbone=name, patch_px=14)
    weights, config = load_weights(tmp_path / "a.safetensors", run)
    model = seed_model(with_sizes_of_backbone(config), weights)

    assert torch.equal(model.encoder.reg_token, net.reg_token)
    assert encode(model.encoder, torch.randn(2, 3, 56, 56)).shape == (2, 16, 384)
