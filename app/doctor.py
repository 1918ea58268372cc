"""Is this machine and this workspace fit? One check, one sentence, one remedy."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from app.commands.output import os_sentence
from app.services import Services
from app.sign_on import SignOnSettings
from datasets import catalog
from datasets.errors import DatasetError
from labeling import accounts, audit

_SMALLEST_FREE_GB = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """The outcome of one check."""

    name: str
    ok: bool
    remedy: str
    """What to do; empty when there is nothing to do."""


def run_checks(home: Path) -> list[Check]:
    """Check the machine, then the workspace as far as it can be opened."""
    checks = [check() for check in _MACHINE_CHECKS]
    checks.append(_check_disk(home))
    try:
        services = Services.open(home)
    except (DatasetError, OSError) as error:
        remedy = os_sentence(error) if isinstance(error, OSError) else str(error)
        return [*checks, Check(name="workspace opens", ok=False, remedy=remedy)]
    return [
        *checks,
        Check(name=f"workspace opens ({home})", ok=True, remedy=""),
        *_workspace_checks(services),
    ]


def _check_python() -> Check:
    name = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return Check(name=name, ok=sys.version_info >= (3, 11), remedy="Install Python 3.11 or newer.")


def _check_torch_pair() -> Check:
    import torch  # takes seconds; only this check needs it

    name = f"torch {version('torch')} with torchvision {version('torchvision')}"
    try:
        import torchvision
    except RuntimeError as error:
        remedy = f"The two builds do not match ({error}). Install both from the same source."
        return Check(name=name, ok=False, remedy=remedy)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU (pretraining on the CPU is slow)"
    return Check(name=f"{name}, {device}", ok=bool(torchvision.__version__), remedy="")


def _check_disk(home: Path) -> Check:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e9
    return Check(name=f"{free:.0f} GB free", ok=free > _SMALLEST_FREE_GB,
                 remedy=f"Make room: at least {_SMALLEST_FREE_GB} GB.")  # fmt: skip


_MACHINE_CHECKS: tuple[Callable[[], Check], ...] = (_check_python, _check_torch_pair)


def _workspace_checks(services: Services) -> Iterator[Check]:
    for fact in services.database.profile():
        yield Check(name=fact.name, ok=fact.ok, remedy="" if fact.ok else fact.remedy)
    counts = catalog.counts(services.database)
    yield Check(name=f"{counts.slides} slides, {counts.cells} cells", ok=counts.cells > 0,
                remedy="Run `cytojepa detect`." if counts.slides else "Run `cytojepa ingest PATH`.")  # fmt: skip
    unscaled = counts.cells_without_scale
    yield Check(name=f"{unscaled} cells without um/px", ok=unscaled == 0,
                remedy="Their sizes cannot be compared. Use a new workspace with --mpp.")  # fmt: skip
    people = accounts.list_accounts(services.database)
    active = sum(account.disabled_at is None for account in people)
    yield Check(name=f"{active} accounts", ok=active > 0,
                remedy="Run `cytojepa users add NAME --role admin`.")  # fmt: skip
    store = services.store()
    missing = counts.cells if store is None else len(store.missing(catalog.cell_ids(services.database)))
    yield Check(name=f"{missing} cells without a vector", ok=missing == 0,
                remedy="Run `cytojepa embed`.")  # fmt: skip
    head, last = audit.chain_head(services.database), audit.last_anchor(audit.anchors_path(services.home))
    yield Check(name=f"{head.seq} events, {last} anchored", ok=head.seq == last,
                remedy="Events were removed, or a disk was full. Run `cytojepa verify`.")  # fmt: skip
    mode = services.home.stat().st_mode & 0o777
    yield Check(name=f"the study's folder has mode {mode:o}", ok=not mode & 0o007,
                remedy="Every account of this machine can read it. chmod 700, on the folder.")  # fmt: skip
    yield from _check_sign_on(services.home)
    mode = (services.home / "secret.key").stat().st_mode & 0o777
    yield Check(name=f"secret.key has mode {mode:o}", ok=mode == 0o600, remedy="chmod 600 secret.key")


def _check_sign_on(home: Path) -> Iterator[Check]:
    name = "sign-on with the hospital's accounts"
    try:
        if (settings := SignOnSettings.load(home)) is not None:
            settings.secret(home)
            yield Check(name=f"{name}: {settings.issuer}", ok=True, remedy="")
    except DatasetError as error:
        yield Check(name=f"{name}: the server does not start", ok=False, remedy=str(error))
