"""An admin looks at the pretraining runs; others do not see the page."""

import json
from pathlib import Path

import pytest

from app.services import Services
from app.training import labels_for, tiles_for
from jepa.config import RunConfig
from jepa.train import pretrain
from tests.browser_server import PASSWORD

pytestmark = pytest.mark.browser
SHOTS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
SMALL = RunConfig(image_px=64, patch_px=8, dim=96, depth=3, heads=3, predictor_dim=48, predictor_depth=2,
                  predictor_heads=3, batch_size=16, steps=60, warmup=0.1, monitor_every=10)  # fmt: skip


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


def _open(browser, server, name: str):
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page.goto(server.url)
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", PASSWORD)
    page.click("button")
    page.wait_for_selector("text=Label", timeout=60_000)
    page.goto(f"{server.url}/runs")
    return page


def test_admin__sees_curves_sentences_and_the_picture(browser, server, runs) -> None:
    page = _open(browser, server, "root")
    page.wait_for_selector("text=What the encoder sees", timeout=60_000)
    drawn = ", ".join(f"[data-testid=stVegaLiteChart] {element}" for element in ("svg", "canvas"))
    page.wait_for_function(f"document.querySelectorAll('{drawn}').length == 8")
    page.wait_for_selector("text=run-0001, step 60")  # pictures mount after the charts
    page.wait_for_function(
        "(seen => seen.length && seen.every(i => i.naturalWidth > 900))"
        "([...document.querySelectorAll('[data-testid=stImage] img')])"
    )
    text = page.inner_text("[data-testid=stMain]")

    assert "no sign of collapse at the newest look" in text
    assert "In how many directions pictures differ" in text
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "runs.png")
    page.close()


def test_collapse__is_said_in_red(browser, server, runs) -> None:
    page = _open(browser, server, "root")
    page.wait_for_selector("text=What the encoder sees", timeout=60_000)
    page.click("[data-testid=stMultiSelect] input")
    page.click("[role=option]:has-text('run-0000')")
    page.wait_for_selector("[data-testid=stAlertContentError]:has-text('embeddings are nearly alike')", timeout=30_000)
    page.close()


def test_annotator__does_not_see_the_page(browser, server, runs) -> None:
    page = _open(browser, server, "ben")
    page.wait_for_timeout(3000)

    assert "What the encoder sees" not in page.inner_text("body")
    assert page.query_selector("a[href$='/runs']") is None
    page.close()
