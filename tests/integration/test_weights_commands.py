"""Weights in and out of a study by the command line: published checkpoints, exported encoders."""

import json
import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from app.cli import cytojepa
from jepa.config import RunConfig
from jepa.step import seed_model
from tests.builders import drawn_study

TINY = RunConfig(image_px=64, patch_px=16, dim=48, depth=2, heads=3, predictor_dim=24, predictor_depth=1,
                 predictor_heads=3, batch_size=8, steps=2)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    services = drawn_study(tmp_path / "home", tmp_path / "drawn", 1)
    services.database.close()
    return tmp_path / "home"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    model = seed_model(TINY)
    parts = {"encoder": model.encoder, "predictor": model.predictor, "target_encoder": model.target_encoder}
    path = tmp_path / "published.pth.tar"
    torch.save({k: {f"module.{n}": v for n, v in p.state_dict().items()} for k, p in parts.items()}, path)
    return path


def run(home: Path, *arguments: object):
    result = CliRunner().invoke(cytojepa, [*map(str, arguments), "--home", str(home), "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else result.stderr


def test_published_checkpoint__embeds_trains_and_leaves_as_safetensors(home, published, tmp_path):
    code, embedded = run(home, "embed", "--encoder", published, "--set", "heads=3", "--set", "mpp=0.5")
    assert code == 0, embedded
    assert (embedded["dim"], embedded["cells"] > 0) == (48, True)

    run_file = tmp_path / "run.toml"
    run_file.write_text(TINY.to_toml())
    code, trained = run(home, "pretrain", run_file, "--init", published, "--set", "heads=3")
    assert code == 0, trained
    assert trained["steps"] == 2

    out = tmp_path / "encoder.safetensors"
    code, exported = run(home, "export", "encoder", out)
    assert code == 0, exported
    assert exported["files"] == [str(out)]
    code, again = run(home, "embed", "--encoder", out)
    assert (code, again["fingerprint"]) == (0, trained["fingerprint"])


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("it-ran",)


def test_hostile_checkpoint__one_sentence_and_nothing_runs(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"encoder": Hostile()}, "bad.pth")
    code, sentence = run(home, "embed", "--encoder", "bad.pth")

    assert code == 1
    assert "bad.pth: refused" in sentence
    assert not Path("it-ran").exists()
