"""A page of the gallery: cells that resemble each other, leased to the one who looks at them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.services import Services
from datasets.embeddings import EmbeddingStore
from labeling import leases
from labeling.leases import Offer
from labeling.suggestions import SuggestionTable, current
from labeling.worklist import peek

_CHUNK_ROWS = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryPage:
    """Cells of one page, most similar to the seed first."""

    cell_ids: tuple[str, ...]
    seed: str | None
    """The cell that they resemble; None where nothing is known about likeness."""
    suggestions: SuggestionTable | None


def chosen_page(services: Services, annotator: str, cell_ids: list[str]) -> GalleryPage:
    """Lease the cells that somebody chose on the map, as far as they need a reader."""
    settings, store = services.settings, services.store()
    suggestions = current(services.database, services.probes_folder, store)
    found = leases.claim(services.database, annotator, [_offer(cell_id, suggestions) for cell_id in cell_ids],
                         most=len(cell_ids), reads=settings.reads, lease_seconds=settings.lease_seconds)  # fmt: skip
    return GalleryPage(cell_ids=tuple(found), seed=None, suggestions=suggestions)


def gallery_page(
    services: Services, annotator: str, *, like: str | None, limit: int, exclude: list[str]
) -> GalleryPage:
    """Lease the cells of a page.

    Args:
        services: The open workspace.
        annotator: Who looks at them.
        like: The cell that they are to resemble; None: the one that is next on the worklist.
        limit: At most this many.
        exclude: Cells that another page of the same person shows.
    """
    settings = services.settings
    store = services.store()
    if store is None or not len(store):
        items = leases.take(services.database, annotator, limit, reads=settings.reads,
                            lease_seconds=settings.lease_seconds, exclude=exclude)  # fmt: skip
        return GalleryPage(cell_ids=tuple(item.cell_id for item in items), seed=None, suggestions=None)
    suggestions = current(services.database, services.probes_folder, store)
    rows = store.row_of()
    seed = like if like in rows else _next_cell(services, annotator, rows)
    if seed is None:
        return GalleryPage(cell_ids=(), seed=None, suggestions=suggestions)
    order = np.argsort(-likeness(store, rows[seed]), kind="stable")
    unwanted = set(exclude)
    found: list[str] = []
    for start in range(0, len(order), 2 * limit):
        near = [store.cell_ids[row] for row in order[start : start + 2 * limit]]
        offers = [_offer(cell_id, suggestions) for cell_id in near if cell_id not in unwanted]
        found += leases.claim(services.database, annotator, offers[: 2 * limit], most=limit - len(found),
                              reads=settings.reads, lease_seconds=settings.lease_seconds)  # fmt: skip
        if len(found) >= limit:
            break
    return GalleryPage(cell_ids=tuple(found), seed=seed, suggestions=suggestions)


def likeness(store: EmbeddingStore, row: int) -> NDArray[np.float32]:
    """Return the cosine between one cell's vector and all others, shape (rows,)."""
    vectors = store.stack()
    seed = vectors[np.array([row])][0].astype(np.float32)
    seed /= max(float(np.linalg.norm(seed)), 1e-12)
    found = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _CHUNK_ROWS):
        part = vectors[start : start + _CHUNK_ROWS].astype(np.float32)
        found[start : start + len(part)] = part @ seed / np.maximum(np.linalg.norm(part, axis=1), 1e-12)
    return found


def _next_cell(services: Services, annotator: str, rows: dict[str, int]) -> str | None:
    ahead = peek(services.database, annotator, 20, reads=services.settings.reads)
    return next((item.cell_id for item in ahead if item.cell_id in rows), None)


def _offer(cell_id: str, suggestions: SuggestionTable | None) -> Offer:
    guess = suggestions.of(cell_id) if suggestions else None
    category, probability = guess or (None, None)
    return Offer(cell_id=cell_id, reason="resembles the other cells of a gallery page", suggestion=category,
                 probability=probability, probe_id=suggestions.probe_id if suggestions and guess else None)  # fmt: skip
