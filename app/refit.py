"""Refitting the probe: once, or in a process of its own that watches for new labels."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import func, select

from app import job_run
from app.agreement_figures import write_figures
from app.cell_map import update_map
from app.services import Services
from datasets import catalog
from datasets.embeddings import EmbeddingStore, store_state
from labeling import orders
from labeling.neighbours import update_index
from labeling.pool import keep_freed_memory
from labeling.records import Exemplar, Label, Undo
from labeling.suggestions import FitReport, refit

_TURN_SECONDS = 1.0
"""How often a server's watcher looks whether the study needs another one."""
POLL_SECONDS = 0.25
"""How often the watcher looks; also gathers labels that arrive in a burst."""
QUIET_SECONDS = 10.0
"""Without a change for so long, the figures of Progress and Review are computed anew."""


def refit_study(services: Services) -> FitReport:
    """Fit the probe on the current labels, publish suggestions and worklist, and draw the map of new vectors."""
    return _Desk(services).refit()


def watch(services: Services) -> None:
    """Refit whenever labels, cells or vectors have changed, until the parent process is gone.

    Runs as a child of the server, so that no page ever waits for a fit. Of several servers of one study
    one watches at a time; when it dies another takes over.
    """
    parent = os.getppid()
    keep_freed_memory()
    while os.getppid() == parent:
        with services.database.alone("watch") as is_ours:
            if is_ours is not None:
                _watch(services, lambda: os.getppid() == parent and is_ours())
        time.sleep(_TURN_SECONDS)


def _watch(services: Services, may_go_on: Callable[[], bool]) -> None:
    seen, figured = None, None
    desk, changed_at, rested_at, pause = _Desk(services), time.monotonic(), 0.0, QUIET_SECONDS
    while may_go_on():
        state = desk.state()
        if state != seen and time.monotonic() >= rested_at:
            started = time.monotonic()
            report = desk.refit()
            seen, changed_at = state, time.monotonic()
            # Ten thousands of labels take seconds to fit, and new ones come all the time: half of them is the pages'.
            rested_at = changed_at + (changed_at - started)
            if (job := job_run.current()) is not None:
                job.note(f"{report.labels} / {time.monotonic() - started:.1f} s")
        elif state == seen and state != figured and time.monotonic() - changed_at > pause:
            # They take longer than a fit: they wait for a pause, so that no label waits for them; for one as long as
            # they take, minutes in a study of ten thousands of labels.
            started = time.monotonic()
            write_figures(services)
            figured, pause = state, max(QUIET_SECONDS, time.monotonic() - started)
        time.sleep(POLL_SECONDS)


@dataclass(slots=True)
class _Desk:
    """Keeps the store and the slides of the cells at hand: reading a million ids takes longer than a refit."""

    services: Services
    _store: EmbeddingStore | None = None
    _store_state: object = None
    _slides: dict[str, str] = field(default_factory=dict)
    _last_cell: int = -1

    def refit(self) -> FitReport:
        """Wait for any refit by another process, then do one."""
        while True:
            with self.services.database.alone("refit") as is_ours:
                if is_ours is not None:
                    return self._refit()
            time.sleep(POLL_SECONDS)

    def _refit(self) -> FitReport:
        services = self.services
        with services.database.read() as session:
            number = catalog.last_cell_number(session)
        if self._last_cell != number:
            self._slides, self._last_cell = catalog.slide_of_cells(services.database), number
        store = self._open()
        report = refit(
            services.database, store, services.probes_folder, services.label_set,
            groups=self._slides, reads=services.settings.reads, shares=services.settings.shares,
            rule=services.settings.acquisition,
            abnormal_percent=services.settings.abnormal_percent,
            exemplar_weight=services.settings.exemplar_weight,
        )  # fmt: skip
        if store is not None:
            update_map(services.home, store)
            update_index(services.neighbours_folder(store.fingerprint), store.stack())
        return report

    def state(self) -> tuple[object, ...]:
        """Return what a refit depends on; cheap enough to be asked several times a second."""
        with self.services.database.read() as session:
            events = [session.scalar(select(func.max(table.id))) for table in (Label, Undo, Exemplar)]
            events += [orders.last_id(session), catalog.last_cell_number(session)]
        return (*events, store_state(self.services.embeddings_folder))

    def _open(self) -> EmbeddingStore | None:
        state = store_state(self.services.embeddings_folder)
        if state != self._store_state:
            self._store, self._store_state = self.services.store(), state
        return self._store
