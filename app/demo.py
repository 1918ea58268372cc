"""A workspace that shows the whole loop on drawn slides. Each step is skipped when it is done."""

import json
import secrets
import tempfile
from pathlib import Path

from app.commands.output import ProgressBar
from app.encoders import open_encoder
from app.intake import take_in
from app.refit import refit_study
from app.runs import run_folders
from app.services import Services
from app.training import embed_all, labels_for, new_run_folder, tiles_for
from datasets import catalog
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from datasets.files import write_json
from datasets.public import plan
from jepa.config import PRESETS
from jepa.train import pretrain
from labeling import accounts

PASSWORDS_FILE = "demo-passwords.json"
_SEED = 2014
_NUM_SLIDES = 16
_MINUTES = 1.0
_PEOPLE = (("dr.ada", "annotator"), ("dr.ben", "annotator"), ("admin", "admin"))


def prepare(home: Path, *, is_fast: bool) -> Services:
    """Draw, ingest, pretrain, embed, fit and make accounts, as far as that is not done yet.

    Args:
        home: The workspace of the demonstration.
        is_fast: Four slides and a few steps, to see the mechanism rather than a good encoder.
    """
    services = Services.open(home)
    if not catalog.counts(services.database).cells:
        services.settings.save(home)
        _draw(services, 4 if is_fast else _NUM_SLIDES)
    if not run_folders(services):
        _pretrain(services, is_fast=is_fast)
    encoder_bar = ProgressBar("embed", "cell")
    embed_all(services, open_encoder(services, "default"), batch_size=64, on_progress=encoder_bar)
    encoder_bar.close()
    refit_study(services)
    _make_accounts(services)
    return services


def passwords(home: Path) -> dict[str, str]:
    """Return the generated passwords of the demonstration's accounts."""
    stored: dict[str, str] = json.loads((home / PASSWORDS_FILE).read_text())
    return stored


def _draw(services: Services, num_slides: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bar = ProgressBar("draw", "slide")
        write_drawn_slides(folder, seed=_SEED, num_slides=num_slides, on_progress=bar)
        bar.close()
        bar = ProgressBar("ingest", "slide")
        take_in(services, plan(folder), mpp=DRAWN_MPP, on_progress=bar)
        bar.close()


def _pretrain(services: Services, *, is_fast: bool) -> None:
    config = PRESETS["demo"].with_overrides({"steps": "3"} if is_fast else {"max_minutes": str(_MINUTES)})
    pack = tiles_for(services, config, lambda done, total: None)
    bar = ProgressBar("pretrain", "step")
    pretrain(
        config, pack, new_run_folder(services), labels=labels_for(services, pack),
        on_progress=lambda p: bar(p.step, p.steps),
    )  # fmt: skip
    bar.close()


def _make_accounts(services: Services) -> None:
    known = {account.name for account in accounts.list_accounts(services.database)}
    missing = [(name, role) for name, role in _PEOPLE if name not in known]
    if not missing:
        return
    made = {name: secrets.token_urlsafe(9) for name, _ in missing}
    for name, role in missing:
        accounts.add_account(services.database, name, role, made[name])
    write_json(services.home / PASSWORDS_FILE, made, mode=0o600)
