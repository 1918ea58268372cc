import dataclasses
import json
import math
from functools import partialmethod

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.testing import CompileCounter
from torch.nn.utils import get_total_norm

from jepa.config import PRESETS, RunConfig
from jepa.distributed import World
from jepa.errors import CheckpointError, ConfigError
from jepa.masking import mask_generator
from jepa.model import IJepa
from jepa.objectives import draw_masks
from jepa.schedules import rates
from jepa.step import Learner, seed_model

CPU = World(torch.device("cpu"))
SMALL = RunConfig(image_px=32, dim=16, depth=2, heads=2, predictor_dim=16, predictor_depth=1, predictor_heads=2,
                  batch_size=2, steps=8)  # fmt: skip
CONTEXT = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])
TARGETS = torch.tensor([[[8, 9], [9, 10]], [[12, 13], [14, 15]]])


def training_config(sizes):
    """The reference preset with the sizes and the few steps of the golden run."""
    return dataclasses.replace(
        PRESETS["reference"], image_px=sizes["img"], patch_px=sizes["patch"], dim=sizes["dim"], depth=sizes["depth"],
        heads=sizes["heads"], predictor_dim=sizes["pred_dim"], predictor_depth=sizes["pred_depth"],
        predictor_heads=sizes["pred_heads"], batch_size=sizes["B"], epochs=sizes["epochs"],
        warmup_epochs=sizes["warmup"], schedule_scale=sizes["ipe_scale"],
    ).for_tiles(sizes["ipe"] * sizes["B"])  # fmt: skip


def assert_weights(found, expected):
    """All weights are near; the bias of the keys is left out, its gradient is nothing but rounding."""
    for name, value in expected.items():
        own = found[name].detach().clone()
        wanted = value.clone()
        if name.endswith("attn.qkv.bias"):
            third = len(own) // 3
            own[third : 2 * third] = wanted[third : 2 * third] = 0
        torch.testing.assert_close(own, wanted, rtol=0, atol=2e-5)


@pytest.fixture
def golden_run(golden, load_case):
    sizes, arrays = load_case("d_train8")
    model = IJepa(training_config(sizes))
    start = load_file(golden / "d_train8_state0.safetensors")
    copies = {name.replace("encoder.", "target_encoder.", 1): value for name, value in start.items() if name[0] == "e"}
    model.load_state_dict(start | copies, strict=True)
    return golden, sizes, arrays, Learner(training_config(sizes), CPU, model)


def golden_batch(arrays, step):
    batch = step % 4
    names = ("images", f"ctx_mask_b{batch}", f"tgt_masks_b{batch}")
    images, context, targets = (torch.from_numpy(arrays[name]) for name in names)
    return images[batch], context, targets


def test_eight_steps__golden(golden_run):
    golden, sizes, arrays, learner = golden_run
    for step in range(8):
        now = rates(step, learner.config)
        outcome = learner.train_step(*golden_batch(arrays, step))
        norms = [
            float(get_total_norm([p.grad for p in part.parameters() if p.requires_grad]))
            for part in (learner.model.encoder, learner.model.predictor)
        ]
        if step == 0:
            gradients = {n: p.grad for n, p in learner.model.named_parameters() if p.grad is not None}
            for name, value in load_file(golden / "d_train8_grads1.safetensors").items():
                torch.testing.assert_close(gradients[name], value, rtol=0, atol=1e-6)
            assert_weights(learner.model.state_dict(), load_file(golden / "d_train8_state1.safetensors"))
        found = (outcome.loss.item(), now.lr, now.weight_decay, now.momentum, *norms, outcome.gradient_norm.item())
        keys = ("loss", "lr", "wd", "momentum", "gn_enc", "gn_pred", "gn_total")

        assert found == pytest.approx([arrays[key][step] for key in keys], rel=1e-5), f"step {step + 1}"
    assert_weights(learner.model.state_dict(), load_file(golden / "d_train8_state8.safetensors"))
    assert learner.step == 8
    assert sizes["betas"] == list(learner.config.betas)


def count_blocks(names, prefix):
    return 1 + max(int(name.split(".")[1]) for name in names if name.startswith(prefix))


def test_first_weights__golden_statistics(golden):
    stats = json.loads((golden / "init_stats.json").read_text())
    encoder, predictor = stats["train_encoder"], stats["train_predictor"]
    config = dataclasses.replace(
        PRESETS["reference"], image_px=64, patch_px=8, dim=192, heads=3, predictor_dim=96, predictor_heads=3,
        depth=count_blocks(encoder, "blocks."), predictor_depth=count_blocks(predictor, "predictor_blocks."),
    )  # fmt: skip
    model = seed_model(config)
    for part, expected in ((model.encoder, encoder), (model.predictor, predictor)):
        weights = dict(part.state_dict())
        assert set(weights) == set(expected)
        for name, (mean, std) in expected.items():
            own = weights[name]
            # Five standard errors of a sample of this size, for two samples.
            slack = 5 * math.sqrt(2 / own.numel())

            assert float(own.mean()) == pytest.approx(mean, abs=max(std, 1e-9) * slack + 1e-6), name
            assert float(own.std()) == pytest.approx(std, rel=slack, abs=1e-6), name
        positions = next(name for name in expected if name.endswith("pos_embed"))
        found = [float(weights[positions].mean()), float(weights[positions].std())]
        assert found == pytest.approx(expected[positions], abs=1e-6)


def test_reference__published_recipe():
    config = PRESETS["reference"].for_tiles(625 * 2048 + 100)

    assert (config.steps, round(config.warmup * config.steps)) == (187_500, 25_000)
    assert (config.clip_norm, config.betas, config.target_passes) == (None, (0.9, 0.999), "separate")
    assert rates(0, config).momentum == 0.996
    assert rates(187_499, config).weight_decay == pytest.approx(0.4)


@pytest.fixture
def learner():
    return Learner(SMALL, CPU, seed_model(SMALL))


def snapshot(learner):
    weights, moments = learner.state()
    return {name: value.clone() for name, value in (weights | moments).items()}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_bad_batch__changes_nothing_until_somebody_asks(learner, value):
    good = torch.randn(2, 3, 32, 32)
    bad = good.clone()
    bad[1, 0, 3, 3] = value
    learner.train_step(good, CONTEXT, TARGETS)
    before = snapshot(learner)
    learner.train_step(bad, CONTEXT, TARGETS)
    learner.train_step(good, CONTEXT, TARGETS)
    after = snapshot(learner)

    assert learner.failed_step() == 1
    assert all(torch.equal(after[name], wanted) for name, wanted in before.items())


def test_update_target__on_the_device_equals_on_the_host(learner):
    host, device = learner.model, seed_model(SMALL)
    with torch.no_grad():
        for part in (host, device):
            part.encoder.norm.bias.fill_(1.0)
    host.update_target(0.75)
    device.update_target(0.75, unless=torch.tensor(0.0))

    assert all(torch.equal(a, b) for a, b in zip(host.state_dict().values(), device.state_dict().values(), strict=True))
    device.update_target(0.5, unless=torch.tensor(1.0))
    assert all(torch.equal(a, b) for a, b in zip(host.state_dict().values(), device.state_dict().values(), strict=True))


def test_clipping__limits_the_gradient_not_the_report():
    config = dataclasses.replace(SMALL, clip_norm=1e-3)
    learner = Learner(config, CPU, seed_model(config))
    outcome = learner.train_step(torch.randn(2, 3, 32, 32), CONTEXT, TARGETS)
    left = get_total_norm([p.grad for p in learner.model.parameters() if p.grad is not None])

    assert outcome.gradient_norm > 1e-2
    assert left == pytest.approx(1e-3, rel=1e-2)


def test_weight_decay__spares_vectors(learner):
    matrices, vectors = learner._optimiser.param_groups

    assert {p.ndim for p in vectors["params"]} == {1}
    assert any(p is learner.model.predictor.mask_token for p in matrices["params"])
    assert vectors["weight_decay"] == 0


def test_state__goes_back_in(learner):
    batch = torch.randn(2, 3, 32, 32)
    learner.train_step(batch, CONTEXT, TARGETS)
    weights, moments = learner.state()
    weights = {name: value.clone() for name, value in weights.items()}
    moments = {name: value.clone() for name, value in moments.items()}
    again = Learner(SMALL, CPU, seed_model(SMALL, weights), step=1, moments=moments)
    for one in (learner, again):
        one.train_step(batch, CONTEXT, TARGETS)

    torch.testing.assert_close(snapshot(again), snapshot(learner), rtol=0, atol=0)


def test_restore__moments_of_another_model(learner):
    learner.train_step(torch.randn(2, 3, 32, 32), CONTEXT, TARGETS)
    _, moments = learner.state()
    moments.popitem()

    with pytest.raises(CheckpointError, match="the optimiser's state has"):
        Learner(SMALL, CPU, seed_model(SMALL), step=1, moments=moments)


def test_seed_model__weights_of_another_model():
    with pytest.raises(CheckpointError, match="weights are of another model"):
        seed_model(SMALL, {"encoder.norm.weight": torch.ones(3)})


def test_bfloat16__explicit_attention_on_cpu():
    config = dataclasses.replace(SMALL, precision="bfloat16")
    learner = Learner(config, CPU, seed_model(config))
    outcome = learner.train_step(torch.randn(2, 3, 32, 32), CONTEXT, TARGETS)
    precise = Learner(SMALL, CPU, seed_model(SMALL))

    assert not learner.model.encoder.blocks[0].attn.fused_attn
    assert precise.model.encoder.blocks[0].attn.fused_attn
    assert outcome.loss.dtype == torch.float32
    assert np.isfinite(outcome.loss.item())
    assert all(value.dtype == torch.float32 for value in learner.state()[0].values())


@pytest.mark.parametrize("changes", [{}, {"invariance": 1.0}, {"objective": "mae"}])
def test_compile__one_graph_for_each_pair_of_lengths_and_the_same_losses(monkeypatch, changes):
    torch._dynamo.reset()  # graphs of other tests' forward would count towards torch's limit
    graphs = CompileCounter()
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend=graphs))
    config = dataclasses.replace(SMALL, image_px=64, steps=12, **changes)
    losses, lengths = {}, set()
    for is_compiled in (False, True):
        config = dataclasses.replace(config, compile=is_compiled)
        learner = Learner(config, CPU, seed_model(config))
        chance, found = torch.Generator().manual_seed(0), []
        for step in range(config.steps):
            masks = draw_masks(config, config.batch_size, mask_generator(config.seed, step))
            pictures = torch.randn(config.batch_size * config.views, 3, 64, 64, generator=chance)
            indices = torch.from_numpy(masks.context), torch.from_numpy(masks.targets)
            lengths.add((masks.context.shape, masks.targets.shape))
            found.append(learner.train_step(pictures, *indices).loss.item())
        losses[is_compiled] = found

    assert losses[True] == pytest.approx(losses[False], rel=1e-5)
    assert graphs.frame_count == len(lengths) == (1 if "objective" in changes else 3)


def test_compile__without_a_compiler_is_refused_in_a_sentence(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    with pytest.raises(ConfigError, match=r"no g\+\+ on this machine\. Install"):
        Learner(dataclasses.replace(SMALL, compile=True), CPU, seed_model(SMALL))
