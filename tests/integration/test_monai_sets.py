"""MONAI reads our slides through the sandbox, and trains on our crops."""

import subprocess
import sys

import numpy as np
import pytest

from datasets import catalog
from datasets.sandbox import Decoder
from datasets.synthetic import draw_slide
from tests.builders import drawn_study
from tests.slide_files import dicom_slide, write_pyramid

pytestmark = pytest.mark.filterwarnings("ignore")  # importing MONAI alone gives dozens


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "a.ndpi"  # the suffix lies, the bytes tell
    write_pyramid(path, draw_slide(np.random.default_rng(5)).image, mpp=0.25)
    return path


def test_import__costs_only_who_asks():
    code = "import app.cli, jepa.train, datasets.ingest, sys; print('monai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_patch_dataset__gives_what_the_sandbox_reads(slide_file):
    from monai.data import PatchWSIDataset

    from jepa.monai_sets import SandboxedWSIReader

    rows = [{"image": str(slide_file), "location": (100, 200), "label": 3}]
    reader = SandboxedWSIReader()
    patch = PatchWSIDataset(rows, patch_size=(64, 48), patch_level=1, reader=reader, center_location=False)[0]
    with Decoder() as decoder:
        expected = decoder.read_region([slide_file], 200, 100, 48, 64, level=1)
    slide = reader.read(slide_file)

    np.testing.assert_array_equal(np.asarray(patch["image"]), np.moveaxis(expected, -1, 0))
    assert patch["label"] == 3
    assert reader.get_mpp(slide, 1) == pytest.approx((0.5, 0.5), rel=0.01)
    with pytest.raises(ValueError, match="objective"):
        reader.get_power(slide, 0)


def test_dicom_folder__is_one_slide(tmp_path):
    from jepa.monai_sets import SandboxedWSIReader

    picture = draw_slide(np.random.default_rng(6)).image
    (tmp_path / "case").mkdir()
    dicom_slide(picture, mpp=0.25).save_as(tmp_path / "case" / "1.dcm", enforce_file_format=True)
    reader = SandboxedWSIReader(channel_dim=-1)
    whole, facts = reader.get_data(reader.read(tmp_path / "case"), size=(32, 32), location=(0, 0))

    assert whole.shape == (32, 32, 3)
    assert facts["path"].endswith("1.dcm")


def test_cached_cells__turn_and_flip_and_nothing_else(tmp_path):
    from jepa.monai_sets import cached_cells

    services = drawn_study(tmp_path / "home", tmp_path / "drawn", num_slides=1)
    crops = [catalog.crop_path(services.home, cell.id) for cell in catalog.cells(services.database)[:4]]
    still = cached_cells(crops, [0, 1, 2, 3], is_training=False)
    moved = cached_cells(crops, [0, 1, 2, 3], is_training=True)
    moved.transform.set_random_state(seed=1)
    views = [moved[0]["image"] for _ in range(12)]

    assert [row["label"] for row in still] == [0, 1, 2, 3]
    assert (still[0]["image"].shape, str(still[0]["image"].dtype)) == ((3, 256, 256), "torch.float32")
    # The same pixels in another order: no colour and no size was changed.
    assert all(view.sum() == pytest.approx(float(still[0]["image"].sum()), rel=1e-5) for view in views)
    assert len({view.numpy().tobytes() for view in views}) > 2
