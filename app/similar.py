"""A page of the gallery: cells that resemble each other, leased to the one who looks at them.

In a study that asks first, a page is of like cells and says nothing of suggestions: neither which one
nor how sure. Where the study shows suggestions before the answer, a page may be of one suggestion, the
surest or the most alike first. Known cells of another category are mixed into both (`labeling.foils`).
"""

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.services import Services
from datasets.embeddings import EmbeddingStore
from labeling import foils, leases
from labeling.leases import Offer
from labeling.suggestions import SuggestionTable, current
from labeling.worklist import peek

_CHUNK_ROWS = 8192
_RANDOM = random.SystemRandom()
"""Nobody can know beforehand where a foil stands."""

Order = Literal["likeness", "certainty"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryPage:
    """Cells of one page, in the order in which to show them."""

    cell_ids: tuple[str, ...]
    seed: str | None
    """The cell that they resemble; None where nothing is known about likeness."""
    suggestions: SuggestionTable | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a page is to hold."""

    limit: int
    like: str | None = None
    """The cell that they are to resemble; None: the one that is next on the worklist."""
    suggested: str | None = None
    """Only cells of which the probe says this; None: any."""
    order: Order = "likeness"
    exclude: tuple[str, ...] = ()
    """Cells that another page of the same person shows."""


def chosen_page(services: Services, annotator: str, cell_ids: list[str]) -> GalleryPage:
    """Lease the cells that somebody chose on the map, as far as they need a reader."""
    settings, store = services.settings, services.store()
    suggestions = current(services.database, services.probes_folder, store)
    found = leases.claim(services.database, annotator, [_offer(cell_id, suggestions) for cell_id in cell_ids],
                         most=len(cell_ids), reads=settings.reads, lease_seconds=settings.lease_seconds)  # fmt: skip
    return GalleryPage(cell_ids=tuple(found), seed=None, suggestions=suggestions)


def gallery_page(services: Services, annotator: str, wanted: Wanted) -> GalleryPage:
    """Lease the cells of a page, foils among them.

    Args:
        services: The open workspace.
        annotator: Who looks at them.
        wanted: What the page is to hold.
    """
    store = services.store()
    if store is None or not len(store):
        items = leases.take(services.database, annotator, wanted.limit, reads=services.settings.reads,
                            lease_seconds=services.settings.lease_seconds, exclude=wanted.exclude)  # fmt: skip
        return GalleryPage(cell_ids=tuple(item.cell_id for item in items), seed=None, suggestions=None)
    suggestions = current(services.database, services.probes_folder, store)
    rows = store.row_of()
    seed = wanted.like if wanted.like in rows else _next_cell(services, annotator, rows)
    if seed is None:
        return GalleryPage(cell_ids=(), seed=None, suggestions=suggestions)
    wanted = replace(wanted, like=seed)
    found = _claimed(services, annotator, wanted, _ordered(store, suggestions, wanted), suggestions)
    if suggestions is not None and found:
        found = _with_foils(services, annotator, found, suggestions, wanted)
    is_like = wanted.order == "likeness"
    return GalleryPage(cell_ids=tuple(found), seed=seed if is_like else None, suggestions=suggestions)


def _ordered(store: EmbeddingStore, suggestions: SuggestionTable | None, wanted: Wanted) -> list[str]:
    """Return the cells that fit, best first."""
    order = np.argsort(-likeness(store, store.row_of()[wanted.like or ""]), kind="stable")
    if suggestions is None or (wanted.suggested is None and wanted.order == "likeness"):
        return [store.cell_ids[row] for row in order]
    known = order[order < len(suggestions.probabilities)]
    table = np.asarray(suggestions.probabilities)[known]
    if wanted.suggested is not None:
        is_of = np.array(suggestions.classes)[table.argmax(axis=1)] == wanted.suggested
        known, table = known[is_of], table[is_of]
    if wanted.order == "certainty":
        known = known[np.argsort(-table.max(axis=1), kind="stable")] if len(known) else known
    return [store.cell_ids[row] for row in known]


def _claimed(
    services: Services, annotator: str, wanted: Wanted, order: list[str], suggestions: SuggestionTable | None
) -> list[str]:
    settings, limit = services.settings, wanted.limit
    unwanted = set(wanted.exclude)
    found: list[str] = []
    for start in range(0, len(order), 2 * limit):
        near = order[start : start + 2 * limit]
        offers = [_offer(cell_id, suggestions) for cell_id in near if cell_id not in unwanted]
        found += leases.claim(services.database, annotator, offers, most=limit - len(found),
                              reads=settings.reads, lease_seconds=settings.lease_seconds)  # fmt: skip
        if len(found) >= limit:
            break
    return found


def _with_foils(
    services: Services, annotator: str, found: list[str], suggestions: SuggestionTable, wanted: Wanted
) -> list[str]:
    """Put foils in places drawn by chance; the last cells of the page make room for them."""
    settings = services.settings
    count = foils.how_many(len(found), settings.foil_percent, _RANDOM)
    known = foils.known(services.database) if count else {}
    if not known:
        return found
    guesses = {cell: guess[0] for cell in {*known, *found} if (guess := suggestions.of(cell)) is not None}
    on_page = Counter(guesses[cell] for cell in found if cell in guesses)
    looks_like = wanted.suggested or (on_page.most_common(1)[0][0] if on_page else "")
    shown = guesses if settings.suggestions == "shown" else None
    fitting = foils.candidates(known, looks_like, services.label_set, suggested=shown)
    fitting = [cell for cell in fitting if cell not in found and cell not in wanted.exclude]
    drawn = _RANDOM.sample(fitting, min(4 * count, len(fitting)))
    offers = [_offer(cell, suggestions) for cell in drawn]
    lent = foils.lend(services.database, annotator, offers, most=count, lease_seconds=settings.lease_seconds)
    dropped = found[wanted.limit - len(lent) :] if len(found) + len(lent) > wanted.limit else []
    leases.give_back(services.database, annotator, dropped)
    page = [cell for cell in found if cell not in dropped]
    for cell in lent:
        page.insert(_RANDOM.randrange(1, len(page) + 1), cell)
    return page


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
