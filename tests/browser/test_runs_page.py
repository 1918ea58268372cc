"""An admin looks at the pretraining runs; others do not see the page."""

import json
from pathlib import Path

import pytest

from app.services import Services
from app.training import labels_for, tiles_for
from jepa.config import RunConfig
from jepa.train import pretrain
from tests.browser.conftest import script_over

pytestmark = pytest.mark.browser
SMALL = RunConfig(image_px=64, patch_px=8, dim=96, depth=3, heads=3, predictor_dim=48, predictor_depth=2,
                  predictor_heads=3, batch_size=8, steps=30, warmup=0.1, monitor_every=5)  # fmt: skip


@pytest.fixture(scope="module")
def runs(server) -> Path:
    """Two runs: a short one that ends well, and one that has collapsed."""
    services = Services.open(server.home)
    pack = tiles_for(services, SMALL, lambda done, total: None)
    folder = services.home / "runs"
    labels = labels_for(services, pack)
    services.database.close()
    pretrain(SMALL, pack, folder / "run-0001", labels=labels)
    sick = [{"step": step, "loss": 0.1, "images_per_second": 9.0, "rankme": 1.0, "feature_std": 0.0,
             "mean_cosine": 1.0, "warning": "collapse: embeddings are nearly alike (mean cosine 1.00)."}
            for step in (1, 2)]  # fmt: skip
    (folder / "run-0000").mkdir()
    (folder / "run-0000" / "config.json").write_text(json.dumps(SMALL.to_dict()))
    (folder / "run-0000" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sick))
    return folder


def test_admin__sees_curves_sentences_and_the_picture(sign_in, runs) -> None:
    page = sign_in("root", "/runs", color_scheme="light")
    page.wait_for_selector("text=What the encoder sees")
    drawn = ", ".join(f"[data-testid=stVegaLiteChart] {element}" for element in ("svg", "canvas"))
    page.wait_for_function(f"document.querySelectorAll('{drawn}').length == 8")
    page.wait_for_selector("text=run-0001, step 30")  # pictures mount after the charts
    page.wait_for_function(
        "(seen => seen.length && seen.every(i => i.naturalWidth > 900))"
        "([...document.querySelectorAll('[data-testid=stImage] img')])"
    )
    page.wait_for_selector("text=no sign of collapse at the newest look")
    page.wait_for_selector("text=In how many directions pictures differ")
    script_over(page)


def test_collapse__is_said_in_red(sign_in, runs) -> None:
    page = sign_in("root", "/runs", color_scheme="light")
    page.wait_for_selector("text=What the encoder sees")
    script_over(page)
    page.click("[data-testid=stMultiSelect] input")
    page.click("[role=option]:has-text('run-0000')")
    page.wait_for_selector("[data-testid=stAlertContentError]:has-text('embeddings are nearly alike')")


def test_annotator__does_not_see_the_page(sign_in, runs) -> None:
    page = sign_in("ben", "/runs")
    page.wait_for_selector("text=The role annotator does not see this page.")
    page.get_by_text("To the first page").click()
    page.wait_for_selector(".deck[data-cell]")
    script_over(page)

    assert page.locator("a[href$='/runs']").count() == 0
