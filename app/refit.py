"""Refitting the probe: once, or in a process of its own that watches for new labels."""

import os
import time

from sqlalchemy import func, select

from app.services import Services
from datasets import catalog
from labeling.records import Label, Undo
from labeling.suggestions import FitReport, refit

POLL_SECONDS = 0.25
"""How often the watcher looks; also gathers labels that arrive in a burst."""


def refit_study(services: Services) -> FitReport:
    """Fit the probe on the current labels and publish suggestions and worklist."""
    return refit(
        services.database, services.store(), services.probes_folder, services.label_set,
        groups=catalog.slide_of_cells(services.database), reads=services.settings.reads,
        shares=services.settings.shares,
    )  # fmt: skip


def watch(services: Services) -> None:
    """Refit whenever labels, cells or vectors have changed, until the parent process is gone.

    Runs as a child of the server, so that no page ever waits for a fit.
    """
    parent, seen = os.getppid(), None
    while os.getppid() == parent:
        state = _state(services)
        if state != seen:
            refit_study(services)
            seen = state
        time.sleep(POLL_SECONDS)


def _state(services: Services) -> tuple[object, ...]:
    with services.database.read() as session:
        events = [session.scalar(select(func.max(table.id))) for table in (Label, Undo)]
    cells = catalog.counts(services.database).cells
    store = services.store()
    return (*events, cells, None if store is None else (store.fingerprint, len(store)))
