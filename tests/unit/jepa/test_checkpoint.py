"""Checkpoints of the published layout and exported encoders; damage and full disks."""

import dataclasses
import logging
import os
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from timm.models import load_checkpoint as timm_load_checkpoint
from timm.models.vision_transformer import VisionTransformer

from jepa.backbones import encode
from jepa.checkpoint import (
    export_encoder,
    load_checkpoint,
    load_weights,
    newest_checkpoint,
    save_checkpoint,
    set_aside,
)
from jepa.config import RunConfig
from jepa.encoder import load_encoder
from jepa.errors import CheckpointError, ConfigError
from jepa.positions import sin_cos_table
from jepa.step import seed_model

SMALL = RunConfig(image_px=32, dim=48, depth=3, heads=3, predictor_dim=24, predictor_depth=2, predictor_heads=3,
                  mpp=0.4, pooling="mean4")  # fmt: skip
HEADS = {"heads": "3"}


@pytest.fixture
def model():
    model = seed_model(SMALL)
    with torch.no_grad():
        for parameter in model.target_encoder.parameters():
            if parameter is not model.target_encoder.pos_embed:
                parameter.add_(0.01)
    return model


def published(model, path, **changes):
    parts = {"encoder": model.encoder, "predictor": model.predictor, "target_encoder": model.target_encoder}
    content = {
        name: {f"module.{key}": value for key, value in part.state_dict().items()} for name, part in parts.items()
    }
    rest = {"opt": {"state": {}, "param_groups": [{"lr": 1e-3}]}, "scaler": None, "epoch": 300, "loss": 0.1,
            "batch_size": 128, "world_size": 16, "lr": 1e-3}  # fmt: skip
    torch.save(content | rest | changes, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pth.tar"])
def test_published__loads_strictly_with_sizes_from_the_tensors(model, tmp_path, suffix):
    weights, config = load_weights(published(model, tmp_path / f"jepa{suffix}"), overrides=HEADS)

    assert (config.dim, config.depth, config.heads, config.mlp_ratio) == (48, 3, 3, 4.0)
    assert (config.image_px, config.patch_px) == (32, 8)
    assert (config.predictor_dim, config.predictor_depth, config.predictor_heads) == (24, 2, 3)
    torch.testing.assert_close(weights, dict(model.state_dict()), rtol=0, atol=0)
    torch.testing.assert_close(dict(seed_model(config, weights).state_dict()), weights, rtol=0, atol=0)


def test_published__target_encoder_is_what_embeds(model, tmp_path):
    encoder = load_encoder(published(model, tmp_path / "a.pth"), HEADS | {"mean": "[0.5, 0.5, 0.5]"})
    pictures = torch.randint(0, 255, (2, 32, 32, 3), dtype=torch.uint8).numpy()
    light = torch.from_numpy(pictures).float() / 255
    batch = ((light - 0.5) / torch.tensor((0.229, 0.224, 0.225))).permute(0, 3, 1, 2)
    expected = encode(model.target_encoder, batch).mean(1).detach().numpy()

    assert encoder.embed(pictures) == pytest.approx(expected, abs=1e-5)


def test_published__heads_that_the_width_does_not_tell(model, tmp_path):
    with pytest.raises(CheckpointError, match="a width of 48 does not tell the number of heads; give it with heads=N"):
        load_weights(published(model, tmp_path / "a.pth"))


def test_published__other_picture_size_gets_computed_positions(model, tmp_path):
    run = dataclasses.replace(SMALL, image_px=64, batch_size=4)
    weights, config = load_weights(published(model, tmp_path / "a.pth"), run, HEADS)

    assert (config.image_px, config.batch_size) == (64, 4)
    for name, width in (("encoder", 48), ("target_encoder", 48)):
        assert torch.equal(weights[f"{name}.pos_embed"][0], torch.tensor(sin_cos_table((8, 8), width)))
    assert torch.equal(weights["predictor.predictor_pos_embed"][0], torch.tensor(sin_cos_table((8, 8), 24)))
    seed_model(config, weights)


@pytest.mark.parametrize("rule", ["keep", "sincos"])
def test_published__learnt_positions_are_resampled_or_swapped(model, tmp_path, rule):
    with torch.no_grad():
        model.encoder.pos_embed.normal_()
    run = dataclasses.replace(SMALL, image_px=64, positions=rule)
    weights, _ = load_weights(published(model, tmp_path / "a.pth"), run, HEADS)
    table = torch.tensor(sin_cos_table((8, 8), 48))[None]

    assert weights["encoder.pos_embed"].shape == (1, 64, 48)
    assert torch.equal(weights["encoder.pos_embed"], table) == (rule == "sincos")
    assert torch.equal(weights["target_encoder.pos_embed"], table)


def test_published__half_precision_and_without_prefix(model, tmp_path):
    plain = {key: value.half() for key, value in model.encoder.state_dict().items()}
    weights, _ = load_weights(published(model, tmp_path / "a.pth", encoder=plain), overrides=HEADS)

    assert torch.equal(weights["encoder.norm.weight"], model.encoder.norm.weight)
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_published__missing_network_and_missing_tensor(model, tmp_path):
    torch.save({"encoder": {}, "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"no predictor, target_encoder in it; there are encoder, epoch"):
        load_weights(tmp_path / "a.pth")
    short = {f"module.{k}": v for k, v in model.target_encoder.state_dict().items() if k != "norm.bias"}
    with pytest.raises(CheckpointError, match="another layout"):
        load_encoder(published(model, tmp_path / "b.pth", target_encoder=short), HEADS)
    with pytest.raises(CheckpointError, match="no dicts of tensors"):
        load_weights(published(model, tmp_path / "c.pth", predictor={"a": "text"}))


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, witness):
        self._witness = str(witness)

    def __reduce__(self):
        return os.mkdir, (self._witness,)


def test_published__code_is_refused_and_does_not_run(model, tmp_path):
    witness = tmp_path / "it-ran"
    path = published(model, tmp_path / "bad.pth", loss=Hostile(witness))
    with pytest.raises(CheckpointError, match=r"bad\.pth: refused"):
        load_weights(path)

    assert not witness.exists()
    torch.load(path, weights_only=False)
    assert witness.exists(), "the file would run code if it were loaded trustingly"


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 torn"])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_load_weights__damaged_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        load_weights(tmp_path / name)


def test_load_weights__missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing.pth: missing or damaged"):
        load_weights(tmp_path / "nothing.pth")


def save(model, folder, step=1):
    return save_checkpoint(folder, step=step, config=SMALL, model=dict(model.state_dict()), optimiser={}, pack_hash="p")


def test_export__timm_loads_it_strictly_and_nothing_is_lost(model, tmp_path):
    checkpoint = save(model, tmp_path / "checkpoints")
    out = tmp_path / "encoder.safetensors"
    _, count = export_encoder(checkpoint, out)
    vit = VisionTransformer(img_size=32, patch_size=8, embed_dim=48, depth=3, num_heads=3, num_classes=0,
                            class_token=False, global_pool="avg", fc_norm=False)  # fmt: skip
    vit.load_state_dict(load_file(out), strict=True)
    batch = torch.randn(2, 3, 32, 32)

    assert count == len(vit.state_dict())
    torch.testing.assert_close(vit.forward_features(batch), encode(model.target_encoder, batch))
    timm_load_checkpoint(vit, str(out), strict=True)
    weights, config = load_weights(out)
    assert config == SMALL
    own = {f"target_encoder.{name}": value for name, value in model.target_encoder.state_dict().items()}
    torch.testing.assert_close({k: v for k, v in weights.items() if k in own}, own, rtol=0, atol=0)
    assert load_encoder(out).fingerprint == load_encoder(checkpoint).fingerprint
    again = tmp_path / "again.safetensors"
    assert export_encoder(out, again) == export_encoder(checkpoint, out)
    assert again.read_bytes() == out.read_bytes()


def test_export__serves_training_with_a_fresh_predictor(model, tmp_path, caplog):
    out = tmp_path / "encoder.safetensors"
    export_encoder(save(model, tmp_path / "checkpoints"), out)
    weights, config = load_weights(out, dataclasses.replace(SMALL, image_px=48))
    started = seed_model(config, weights)

    assert "the predictor starts fresh" in caplog.text
    assert torch.equal(started.encoder.norm.bias, model.target_encoder.norm.bias)
    assert started.predictor.predictor_pos_embed.shape == (1, 36, 24)


def test_load_weights__option_that_contradicts_the_tensors(model, tmp_path):
    path = published(model, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="image_px = 30 is no multiple"):
        load_weights(path, overrides=HEADS | {"image_px": "30"})


def test_newest__damaged_one_is_skipped_and_set_aside(model, tmp_path, caplog):
    folder = tmp_path / "checkpoints"
    for step in (1, 2):
        save(model, folder, step)
    damaged = folder / "step-0000002" / "model.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)

    assert newest_checkpoint(folder) == folder / "step-0000001"
    assert "step-0000002: model.safetensors is damaged (its hash differs). The one before is taken." in caplog.text
    set_aside(folder, after_step=1)
    assert sorted(path.name for path in folder.iterdir()) == ["damaged-step-0000002", "step-0000001"]


def test_save__keeps_two_and_clears_half_written(model, tmp_path):
    folder = tmp_path / "checkpoints"
    (folder / "step-0000009").mkdir(parents=True)
    (folder / "step-0000009" / ".model.safetensors.x1").write_bytes(b"half")
    for step in (1, 2, 3):
        save(model, folder, step)

    assert sorted(path.name for path in folder.iterdir()) == ["step-0000002", "step-0000003"]


@pytest.fixture
def no_room():
    """Files of this process cannot grow past 20 kB: the error of a full disk, from the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_save__full_disk_leaves_earlier_checkpoints_whole(model, tmp_path, no_room):
    folder = tmp_path / "checkpoints"
    first = save(model, folder, 1)
    no_room()
    with pytest.raises(OSError, match="too large"):
        save(model, folder, 2)

    assert [path.name for path in folder.iterdir()] == ["step-0000001"]
    assert load_checkpoint(first).step == 1


def test_load__hash_is_checked(model, tmp_path):
    folder = save(model, tmp_path)
    (folder / "optimiser.safetensors").unlink()
    with pytest.raises(CheckpointError, match="missing or incomplete"):
        load_checkpoint(folder)
    assert newest_checkpoint(tmp_path) is None


def test_newest__says_nothing_when_all_is_well(model, tmp_path, caplog):
    save(model, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert newest_checkpoint(Path(tmp_path)) is not None
    assert not caplog.text
