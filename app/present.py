"""The suggestions of this moment, for pages and routes: the store is opened once, not for each question."""

import threading
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from app.services import Services
from datasets.embeddings import EmbeddingStore, store_state
from labeling.labels import LateGuess
from labeling.leases import Offer
from labeling.suggestions import SuggestionTable, current


class PresentSuggestions:
    """Looks suggestions up; reads the store anew when it has grown.

    Args:
        services: The open workspace.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._state: object = None
        self._store: EmbeddingStore | None = None
        self._sorted: tuple[str, dict[str, NDArray[np.intp]]] = ("", {})

    def table(self) -> SuggestionTable | None:
        """Return the newest suggestions, None before the first fit."""
        return current(self._services.database, self._services.probes_folder, self.store())

    def store(self) -> EmbeddingStore | None:
        """Return the current embedding store, None before the first `embed`."""
        state = store_state(self._services.embeddings_folder)
        with self._lock:
            if state != self._state:
                self._store, self._state = self._services.store(), state
            return self._store

    def saying(self, category: str, table: SuggestionTable) -> Iterator[str]:
        """Return all cells that are suggested as a category, the least sure first; sorted once for each fit."""
        store = self.store()
        if self._sorted[0] != table.probe_id:
            self._sorted = (table.probe_id, table.by_class())
        rows = self._sorted[1].get(category)
        return iter(()) if store is None or rows is None else map(store.cell_ids.__getitem__, rows.tolist())

    def of(self, cell_ids: Iterable[str], table: SuggestionTable | None = None) -> dict[str, LateGuess]:
        """Return what the probe says of these cells now; cells without a vector are left out.

        Args:
            cell_ids: Of the catalogue.
            table: The newest suggestions, where they are at hand.
        """
        table = table or self.table()
        if table is None:
            return {}
        found = {cell_id: table.of(cell_id) for cell_id in cell_ids}
        return {
            cell_id: LateGuess(category=guess[0], probability=guess[1], probe_id=table.probe_id)
            for cell_id, guess in found.items()
            if guess is not None
        }


def offer_of(cell_id: str, reason: str, table: SuggestionTable | None) -> Offer:
    """Return a cell that a page would like to show, with what the probe says of it now; nothing without a vector."""
    guess = table.of(cell_id) if table else None
    category, probability = guess or (None, None)
    return Offer(cell_id=cell_id, reason=reason, suggestion=category, probability=probability,
                 probe_id=table.probe_id if table and guess else None)  # fmt: skip
