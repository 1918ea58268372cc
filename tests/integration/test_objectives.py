"""Every option of a run from the tiles to a frozen encoder, and encoders of timm from local files."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from app.cli import cytojepa
from app.services import Services
from app.training import tiles_for
from datasets.detection import foreground_share
from jepa.config import RunConfig
from jepa.data import TileStream, open_pack
from jepa.encoder import load_encoder
from jepa.runlog import read_metrics
from jepa.train import pretrain
from jepa.views import draw_cuts
from tests.builders import drawn_study

TINY = RunConfig(image_px=64, patch_px=16, dim=48, depth=2, heads=3, predictor_dim=24, predictor_depth=1,
                 predictor_heads=3, batch_size=8, steps=4, warmup=0.2)  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("study")
    services = drawn_study(folder / "home", folder / "drawn", 2)
    yield services
    services.database.close()


@pytest.fixture(scope="module")
def pack(study: Services) -> Path:
    return tiles_for(study, TINY, lambda done, total: None)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "mae"}, {"objective": "vicreg"}, {"objective": "dino"}, {"backbone": "resnet50"},
        {"backbone": "vit_tiny_patch16_224"},
        {"invariance": 0.1, "sigreg": 0.05}, {"variance": 1.0, "covariance": 1.0}, {"registers": 2},
        {"foreground_tiles": 1.0, "foreground_targets": 0.3, "scale_jitter": 0.1},
    ],
    ids=str,
)  # fmt: skip
def test_run__every_option_ends_in_an_encoder_and_resumes(pack: Path, tmp_path: Path, changes: dict) -> None:
    if changes.get("objective") == "dino":
        pytest.importorskip("lightly", reason="the extra baselines is not installed")
    config = RunConfig.from_dict(TINY.to_dict() | changes)
    unbroken = pretrain(config, pack, tmp_path / "a")
    pretrain(config, pack, tmp_path / "b", should_stop=iter([False, True]).__next__)
    resumed = pretrain(config, pack, tmp_path / "b", resume=True)
    last = read_metrics(tmp_path / "a")[-1]
    encoder = load_encoder(unbroken.checkpoint)

    assert (resumed.steps, resumed.fingerprint) == (4, unbroken.fingerprint)
    assert encoder.embed(np.zeros((2, 64, 64, 3), np.uint8)).shape == (2, encoder.dim)
    assert ("predictor_r2" in last) == (config.objective not in ("vicreg", "dino"))
    assert last["rankme"] >= 1


def test_stream__foreground_tiles_come_more_often(pack: Path) -> None:
    shares = []
    for weight in (0.0, 1.0):
        config = RunConfig.from_dict(TINY.to_dict() | {"foreground_tiles": weight})
        stream, tiles = TileStream(open_pack(pack, config), config), open_pack(pack, config).tiles
        # Study codes are drawn anew each time, and with them the order: many steps, so that chance decides nothing.
        seen = np.concatenate([stream.indices(step) for step in range(300)])
        share = np.array([foreground_share(tile, config.mpp) for tile in tiles[np.arange(len(tiles))]])
        shares.append(share[seen].mean())

    assert shares[1] > 1.1 * shares[0]


def test_stream__two_views_of_the_same_tiles(pack: Path) -> None:
    config = RunConfig.from_dict(TINY.to_dict() | {"objective": "vicreg", "dihedral": False, "stain_jitter": 0.0})
    first, second = TileStream(open_pack(pack, config), config).batch(0).chunk(2)
    corner, other = first[:, :, 12:-12, 12:-12], second[:, :, 12:-12, 12:-12]

    assert not torch.equal(first, second)
    # Shifted by a few pixels at most, a tile resembles itself more than the other tiles.
    apart = torch.cdist(corner.mean((2, 3)), other.mean((2, 3)))
    assert (apart.argmin(1) == torch.arange(8)).float().mean() > 0.7


def test_stream__scale_jitter_stays_within_its_share(pack: Path) -> None:
    config = RunConfig.from_dict(TINY.to_dict() | {"scale_jitter": 0.1})
    cuts = draw_cuts(500, 73, config, np.random.default_rng(0))

    assert (cuts[:, 2] == cuts[:, 3]).all()
    assert 57 <= cuts[:, 2].min() < 60
    assert 68 < cuts[:, 2].max() <= 71
    assert (cuts[:, :2] + cuts[:, 2:4] <= 73).all()


def test_embed__timm_with_local_weights(study: Services) -> None:
    runner = CliRunner()
    name = "vit_tiny_patch16_224"
    missing = runner.invoke(cytojepa, ["embed", "--encoder", f"timm:{name}", "--home", str(study.home), "--json"])

    assert missing.exit_code == 1
    assert "nothing is downloaded" in missing.output
    torch.manual_seed(0)
    (study.home / "weights").mkdir()
    save_file(timm.create_model(name, pretrained=False).state_dict(), study.home / "weights" / f"{name}.safetensors")
    arguments = ["embed", "--encoder", f"timm:{name}", "--set", "image_px=64", "--home", str(study.home), "--json"]
    done = runner.invoke(cytojepa, arguments)
    result = json.loads(done.stdout)

    assert (done.exit_code, result["dim"]) == (0, 192)
    assert result["cells"] > 0
