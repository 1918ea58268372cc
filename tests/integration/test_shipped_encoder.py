"""The encoder in the package: a new study has vectors before any pretraining, and what its card says is so."""

import json
import re
from pathlib import Path

import pytest
import timm
from click.testing import CliRunner
from safetensors.torch import load_file

from app.cli import cytojepa
from app.encoders import shipped_weights
from jepa.encoder import load_encoder
from tests.builders import drawn_study

LARGEST_BYTES = 45e6
CARD = Path(__file__).parents[2] / "docs" / "model_card.md"
MARGIN = 0.02
"""What training must be worth in balanced accuracy; .033 on Herlev and .070 on CRIC when it was made."""


def run(*arguments: object) -> dict:
    result = CliRunner().invoke(cytojepa, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_new_study__embeds_with_it_until_a_run_of_its_own(tmp_path):
    drawn_study(tmp_path / "home", tmp_path / "drawn", 1).database.close()
    shipped = load_encoder(shipped_weights())

    embedded = run("embed", "--home", tmp_path / "home")
    assert embedded["fingerprint"] == shipped.fingerprint
    assert embedded["cells"] > 0

    small = ["--set", "image_px=64", "--set", "dim=48", "--set", "depth=1", "--set", "batch_size=8"]
    trained = run("pretrain", "--preset", "demo", "--steps", 1, *small, "--home", tmp_path / "home")
    assert run("embed", "--home", tmp_path / "home")["fingerprint"] == trained["fingerprint"]
    again = run("embed", "--encoder", "shipped", "--home", tmp_path / "home")
    assert again["fingerprint"] == shipped.fingerprint


def test_the_file__is_small_and_loads_in_plain_timm():
    assert shipped_weights().stat().st_size < LARGEST_BYTES
    config = load_encoder(shipped_weights()).config
    network = timm.models.VisionTransformer(
        img_size=config.image_px, patch_size=config.patch_px, embed_dim=config.dim, depth=config.depth,
        num_heads=config.heads, class_token=False, global_pool="avg", fc_norm=False, num_classes=0,
    )  # fmt: skip
    network.load_state_dict(load_file(shipped_weights()), strict=True)


def test_the_card__speaks_of_this_file():
    card, encoder = CARD.read_text(), load_encoder(shipped_weights())
    assert encoder.fingerprint in card
    options = re.search(r"```toml\n(.*?)```", card, re.DOTALL)
    assert options is not None
    for name in ("image_px", "patch_px", "mpp"):
        assert f"{name} = {getattr(encoder.config, name)}\n" in options.group(1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("cells", "mpp"), [("herlev", 0.201), ("cric_dev", 0.247)])
def test_real_cells__training_was_worth_something(real_data, tmp_path, cells, mpp):
    found = run("evaluate", "--cells", real_data / cells, "--mpp", mpp, "--shots", 20, "--seeds", 20,
                "--home", tmp_path / "none")  # fmt: skip
    score = {row["encoder"]: row["balanced_accuracy"] for row in found["results"]}
    assert score["shipped"] > score["random"] + MARGIN
